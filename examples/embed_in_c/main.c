#include <callie.h>
#include <stdio.h>

static int print(const char* text, void* user) { return fputs(text, user) >= 0 && fflush(user) == 0; }

int main(int argc, char** argv) {
  callie_model* model = argc > 2 ? callie_load(argv[1], NULL) : NULL;
  if (!model) return fprintf(stderr, "usage: %s MODEL.gguf PROMPT\n%s\n", argv[0], callie_last_error()), 1;
  int64_t tokens = callie_generate(model, argv[2], NULL, print, stdout);
  printf("\n");
  callie_free(model);
  return tokens < 0;
}
