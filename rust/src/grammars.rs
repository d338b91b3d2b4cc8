//! Grammars: llguidance's matcher over the trie of one vocabulary.

use std::ffi::c_void;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};

use crate::{guarded, slice, Bytes};

/// Tokenizes bytes: writes at most `capacity` ids and returns how many there are.
pub type Tokenize = extern "C" fn(*const c_void, *const u8, usize, *mut u32, usize) -> usize;

struct Vocabulary {
    trie: TokTrie,
    tokenize: Tokenize,
    user_data: *const c_void,
}

// SAFETY: the trie is plain data; the callback and what it points to are thread-safe by contract.
unsafe impl Send for Vocabulary {}
unsafe impl Sync for Vocabulary {}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            let mut ids = vec![0u32; text.len() + 1];
            let count = (self.tokenize)(self.user_data, text.as_ptr(), text.len(), ids.as_mut_ptr(), ids.len());
            if count > ids.len() {
                return self.trie.greedy_tokenize(text.as_bytes());
            }
            ids.truncate(count);
            ids
        })
    }
}

pub struct Factory {
    factory: ParserFactory,
}

/// Settings of a schema that has none of its own. No whitespace between tokens: it costs steps, and a model that likes it
/// could go on for ever. `oneOf` as `anyOf`, with a warning: the caller checks the finished text.
const SCHEMA_SETTINGS: &str = r#"{"whitespace_flexible":false,"coerce_one_of":true}"#;

/// The settings as JSON, for schemas inside a Lark grammar: they stand under the key `x-guidance`.
#[no_mangle]
pub extern "C" fn callie_schema_settings() -> Bytes {
    Bytes::new(SCHEMA_SETTINGS)
}

/// # Safety
/// `lengths` has `count` values, `bytes` their sum; `eos` has `eos_count` ids; `error` has room for one value.
#[no_mangle]
pub unsafe extern "C" fn callie_grammar_factory_new(
    count: u32,
    lengths: *const u32,
    bytes: *const u8,
    eos: *const u32,
    eos_count: usize,
    tokenize: Tokenize,
    user_data: *const c_void,
    error: *mut Bytes,
) -> *mut Factory {
    let made = guarded(error, || {
        let lengths = slice(lengths, count as usize);
        let total: usize = lengths.iter().map(|&n| n as usize).sum();
        let mut rest = slice(bytes, total);
        let mut words = Vec::with_capacity(lengths.len());
        for &length in lengths {
            let (word, tail) = rest.split_at(length as usize);
            words.push(word.to_vec());
            rest = tail;
        }
        let eos = slice(eos, eos_count);
        let first = *eos.first().ok_or("the vocabulary has no end-of-generation token")?;
        let trie = TokTrie::from(&TokRxInfo::new(count, first), &words).with_eos_tokens(eos);
        let environment: TokEnv = Arc::new(Vocabulary { trie, tokenize, user_data });
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| error.to_string())?;
        factory.quiet();
        Ok(Factory { factory })
    });
    made.map_or(std::ptr::null_mut(), |factory| Box::into_raw(Box::new(factory)))
}

/// # Safety
/// `factory` came from `callie_grammar_factory_new` and is freed once, after its matchers.
#[no_mangle]
pub unsafe extern "C" fn callie_grammar_factory_free(factory: *mut Factory) {
    if !factory.is_null() {
        drop(Box::from_raw(factory));
    }
}

/// `kind`: 0 JSON schema, 1 regular expression, 2 Lark. `warnings` gets one line per warning.
///
/// # Safety
/// `source` is `length` bytes; `warnings` and `error` have room for one value each; only one of them is written.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_new(
    factory: *const Factory,
    kind: i32,
    source: *const u8,
    length: usize,
    warnings: *mut Bytes,
    error: *mut Bytes,
) -> *mut Matcher {
    let factory = &(*factory).factory;
    let source = slice(source, length);
    let made = guarded(error, || {
        let source = std::str::from_utf8(source).map_err(|_| "not UTF-8".to_string())?;
        let grammar = match kind {
            0 => {
                let mut schema: serde_json::Value = serde_json::from_str(source).map_err(|error| error.to_string())?;
                if schema == serde_json::Value::Bool(true) {
                    schema = serde_json::json!({});
                }
                if let Some(object) = schema.as_object_mut() {
                    let settings = serde_json::from_str(SCHEMA_SETTINGS).map_err(|error| error.to_string())?;
                    object.entry("x-guidance").or_insert(settings);
                }
                TopLevelGrammar::from_json_schema(schema)
            }
            1 => TopLevelGrammar::from_regex(source),
            _ => TopLevelGrammar::from_lark(source.to_string()),
        };
        let mut matcher = Matcher::new(factory.create_parser(grammar));
        match matcher.get_error() {
            Some(message) => Err(message),
            None => {
                let lines = matcher.grammar_warnings().join("\n");
                Ok((matcher, lines))
            }
        }
    });
    match made {
        Some((matcher, lines)) => {
            warnings.write(Bytes::new(lines));
            Box::into_raw(Box::new(matcher))
        }
        None => std::ptr::null_mut(),
    }
}

/// # Safety
/// `matcher` came from this library.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_clone(matcher: *const Matcher) -> *mut Matcher {
    let matcher = &*matcher;
    guarded(std::ptr::null_mut(), || Ok(matcher.deep_clone()))
        .map_or(std::ptr::null_mut(), |copy| Box::into_raw(Box::new(copy)))
}

/// Back to the beginning, with what the lexer has built; false when that cannot be, after an error.
///
/// # Safety
/// `matcher` came from this library.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_reset(matcher: *mut Matcher) -> bool {
    let matcher = &mut *matcher;
    guarded(std::ptr::null_mut(), || matcher.reset().map_err(|error| error.to_string())).is_some()
}

/// # Safety
/// `matcher` came from this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_free(matcher: *mut Matcher) {
    if !matcher.is_null() {
        drop(Box::from_raw(matcher));
    }
}

/// Writes the allowed tokens' bits into `words`; bits past the vocabulary are zero.
///
/// # Safety
/// `words` has `count` values; `error` has room for one value.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_mask(
    matcher: *mut Matcher,
    words: *mut u32,
    count: usize,
    error: *mut Bytes,
) -> bool {
    let matcher = &mut *matcher;
    let words = std::slice::from_raw_parts_mut(words, count);
    guarded(error, || {
        let mask = matcher.compute_mask_or_eos().map_err(|error| error.to_string())?;
        let source = mask.as_slice();
        let shared = source.len().min(words.len());
        words[..shared].copy_from_slice(&source[..shared]);
        words[shared..].fill(0);
        Ok(())
    })
    .is_some()
}

/// Moves on by one token. 1: done, 0: the token is not allowed (nothing has changed), -1: `error` is written.
///
/// # Safety
/// `error` has room for one value.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_accept(matcher: *mut Matcher, token: u32, error: *mut Bytes) -> i32 {
    let matcher = &mut *matcher;
    guarded(error, || {
        if matcher.is_stopped() {
            return Ok(0);
        }
        matcher.try_consume_tokens(&[token]).map(|count| count as i32).map_err(|error| error.to_string())
    })
    .unwrap_or(-1)
}

/// The text so far is complete.
///
/// # Safety
/// `matcher` came from this library.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_can_end(matcher: *mut Matcher) -> bool {
    let matcher = &mut *matcher;
    guarded(std::ptr::null_mut(), || {
        if matcher.is_stopped() {
            return Ok(!matcher.is_error());
        }
        matcher.is_accepting().map_err(|error| error.to_string())
    })
    .unwrap_or(false)
}

/// Nothing but the end may follow.
///
/// # Safety
/// `matcher` came from this library.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_stopped(matcher: *const Matcher) -> bool {
    (*matcher).is_stopped()
}

/// Writes at most `capacity` forced tokens and returns how many were written.
///
/// # Safety
/// `ids` has room for `capacity` values.
#[no_mangle]
pub unsafe extern "C" fn callie_matcher_forced(matcher: *mut Matcher, ids: *mut u32, capacity: usize) -> usize {
    let matcher = &mut *matcher;
    let ids = std::slice::from_raw_parts_mut(ids, capacity);
    guarded(std::ptr::null_mut(), || {
        if matcher.is_stopped() {
            return Ok(0);
        }
        let forced = matcher.compute_ff_tokens();
        let count = forced.len().min(ids.len());
        ids[..count].copy_from_slice(&forced[..count]);
        Ok(count)
    })
    .unwrap_or(0)
}
