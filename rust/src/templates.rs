//! Chat templates: minijinja set up as Hugging Face sets up Jinja2.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::{guarded, python, slice, Bytes};

/// A loop that does not end, or a string that grows without end, stops here: some seconds of work.
const FUEL: u64 = 50_000_000;
const NAME: &str = "chat_template";

pub struct Template {
    environment: Environment<'static>,
}

/// `{% generation %}` marks a part for training and renders as its content: the same as `{% if true %}`.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let inner = &rest[start + 2..start + length];
        let word = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let replacement = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        out.push_str(&rest[..start]);
        match replacement {
            Some(tag) => {
                out.push_str("{%");
                out.push_str(&inner.replace(word, &format!(" {tag} ")));
                out.push_str("%}");
                rest = &rest[start + length + 2..];
            }
            None => {
                out.push_str("{%");
                rest = &rest[start + 2..];
            }
        }
    }
    out + rest
}

fn describe(error: &Error) -> String {
    let mut text = match error.detail() {
        Some(detail) => detail.to_string(),
        None => error.kind().to_string(),
    };
    if let Some(line) = error.line() {
        text = format!("line {line}: {text}");
    }
    text.replace(['\n', '\r'], " ")
}

fn compile(source: &str) -> Result<Template, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .map_err(|error| describe(&error))?;
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", python::tojson);
    // As in Python, null cannot be iterated over.
    environment.add_test("iterable", |value: &Value| value.is_undefined() || value.try_iter().is_ok() && !value.is_none());
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment
        .add_template_owned(NAME, without_generation_tags(source))
        .map_err(|error| describe(&error))?;
    Ok(Template { environment })
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            _ => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(from_json).collect(),
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json(value))))
        }
    }
}

fn render(template: &Template, context: &str, now: i64) -> Result<String, String> {
    let context: serde_json::Value = serde_json::from_str(context).map_err(|error| error.to_string())?;
    let mut variables: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    if let serde_json::Value::Object(entries) = &context {
        for (name, value) in entries {
            variables.insert(name.clone(), from_json(value));
        }
    }
    let clock = move |format: String| python::strftime(now, &format);
    variables.insert("strftime_now".into(), Value::from_function(clock));
    let template = template.environment.get_template(NAME).map_err(|error| describe(&error))?;
    template.render(Value::from(variables)).map_err(|error| describe(&error))
}

/// # Safety
/// `source` is `length` bytes; `error` has room for one value.
#[no_mangle]
pub unsafe extern "C" fn callie_template_new(source: *const u8, length: usize, error: *mut Bytes) -> *mut Template {
    let source = slice(source, length);
    let made = guarded(error, || {
        let source = std::str::from_utf8(source).map_err(|_| "the template is not UTF-8".to_string())?;
        compile(source)
    });
    made.map_or(std::ptr::null_mut(), |template| Box::into_raw(Box::new(template)))
}

/// # Safety
/// `template` came from `callie_template_new` and is freed once.
#[no_mangle]
pub unsafe extern "C" fn callie_template_free(template: *mut Template) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

/// Renders with the variables of `context`, a JSON object. True: `out` is the text; false: `out` is the error.
///
/// # Safety
/// `template` came from `callie_template_new`; `context` is `length` bytes; `out` has room for one value.
#[no_mangle]
pub unsafe extern "C" fn callie_template_render(
    template: *const Template,
    context: *const u8,
    length: usize,
    now: i64,
    out: *mut Bytes,
) -> bool {
    let template = &*template;
    let context = slice(context, length);
    let text = guarded(out, || {
        let context = std::str::from_utf8(context).map_err(|_| "the messages are not UTF-8".to_string())?;
        render(template, context, now)
    });
    match text {
        Some(text) => {
            out.write(Bytes::new(text));
            true
        }
        None => false,
    }
}
