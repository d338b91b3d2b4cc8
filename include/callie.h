/* Callie's stable C interface: load a language model, generate text. Functions and structs only gain members; a program
 * built against one release runs with later ones of the same major version.
 *
 * Errors: functions that can fail return a negative number or NULL and put one line into callie_last_error(), which
 * belongs to the calling thread. Nothing prints, nothing aborts. */
#ifndef CALLIE_H_
#define CALLIE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define CALLIE_API
#else
#define CALLIE_API __attribute__((visibility("default")))
#endif

typedef struct callie_model callie_model;

typedef struct {
  uint32_t size;       /* sizeof(callie_options); set by callie_default_options */
  int32_t threads;     /* 0 = physical cores */
  int64_t context;     /* tokens; 0 = the model's own, at most 4096 */
  int64_t max_new;     /* tokens to generate at most */
  float temperature;   /* 0 = greedy */
  int32_t top_k;       /* 0 = off */
  float top_p;         /* 1 = off */
  float min_p;         /* 0 = off */
  uint64_t seed;       /* the same seed gives the same text */
  int32_t raw;         /* 1 = do not apply the model's chat template */
} callie_options;

/* Called with each piece of text, whole UTF-8 characters, NUL-terminated. Return 0 to stop. */
typedef int (*callie_on_text)(const char* text, void* user);

CALLIE_API callie_options callie_default_options(void);

/* Loads a GGUF file or a Hugging Face folder; `options` may be NULL. NULL on error. */
CALLIE_API callie_model* callie_load(const char* path, const callie_options* options);
CALLIE_API void callie_free(callie_model* model);

/* Generates an answer to `prompt`, calling `on_text` (may be NULL) as it comes. Returns the number of tokens generated,
 * or -1 on error. One call at a time per model. */
CALLIE_API int64_t callie_generate(callie_model* model, const char* prompt, const callie_options* options,
                                   callie_on_text on_text, void* user);

/* The last error of this thread, or an empty string. Valid until the next call on this thread. */
CALLIE_API const char* callie_last_error(void);

/* "major.minor.patch" */
CALLIE_API const char* callie_version(void);

#ifdef __cplusplus
}
#endif
#endif /* CALLIE_H_ */
