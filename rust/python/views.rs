//! Lazy views: Python objects that point into a batch and read it when they are asked.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use pyo3::PyClass;
use pyo3::exceptions::{PyAttributeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::block::Block;
use super::convert::to_python;
use super::pipeline::{Shared, SharedBatch, SharedBlock};
use super::spares::{self, Spares};
use super::tokens::token;
use crate::chunk::shape::Template;
use crate::chunk::{self, Doc, Key, Type, Value};
use crate::decoder::{Found, Sink};
use crate::error::Place;
use crate::event::decode_utf8;
use crate::record::{Builder, Item, Record};
use crate::source::Buffer;

/// An object of a batch's document.
pub struct View {
    batch: SharedBatch,
    /// The number of the chunk in the batch, and of the object's node in the chunk. They change when the view serves
    /// again: see [`Spares`].
    item: AtomicU32,
    node: AtomicU32,
}

/// What the value of a field becomes.
#[derive(Clone, Copy)]
enum Field {
    /// As it was sent.
    Plain,
    /// An object becomes this view.
    One(Kind),
    /// The objects of an array become this view.
    Many(Kind),
}
use Field::{Many, One, Plain};

/// Fields outside the model that openai has: see `chunkwire._model.OPTIONAL`.
const OPTIONAL: [(&str, &str); 7] = [
    ("Chunk", "moderation"),
    ("Chunk", "obfuscation"),
    ("Delta", "audio"),
    ("PromptTokensDetails", "image_tokens"),
    ("PromptTokensDetails", "text_tokens"),
    ("CompletionTokensDetails", "image_tokens"),
    ("CompletionTokensDetails", "text_tokens"),
];

impl View {
    /// A view of the object with this node number, in the chunk with this number.
    pub fn new(batch: &SharedBatch, item: u32, node: u32) -> Self {
        Self { batch: batch.clone(), item: item.into(), node: node.into() }
    }

    /// Makes it a view of another object of the same batch. Nobody but the caller may hold it.
    #[inline]
    pub fn point_at(&self, item: u32, node: u32) {
        self.item.store(item, Relaxed);
        self.node.store(node, Relaxed);
    }

    fn record(&self) -> &Record {
        match &self.batch.items()[self.item.load(Relaxed) as usize] {
            Item::Chunk(record) => record,
            _ => unreachable!("views are made of chunks alone"),
        }
    }

    #[inline]
    fn doc(&self) -> Doc<'_> {
        self.batch.doc(self.record())
    }

    #[inline]
    fn value(&self) -> Value<'_> {
        self.doc().value(self.node.load(Relaxed) as usize)
    }

    #[inline]
    fn field<'py>(&self, py: Python<'py>, key: Key, field: Field) -> PyResult<Bound<'py, PyAny>> {
        match self.value().get(key) {
            Some(value) => self.convert(py, value, field),
            None => Ok(py.None().into_bound(py)),
        }
    }

    #[inline]
    fn convert<'py>(&self, py: Python<'py>, value: Value<'_>, field: Field) -> PyResult<Bound<'py, PyAny>> {
        match field {
            One(kind) if value.kind() == Type::Object => {
                spares::view(py, &self.batch, self.item.load(Relaxed), value.number() as u32, kind)
            }
            Many(kind) if value.kind() == Type::Array => {
                let mut items = value.items();
                let (first, second) = (items.next(), items.next());
                // Nearly every list has one element, most often the choice.
                if let (Some(only), None) = (first, second) {
                    if matches!(kind, Kind::Choice) && only.kind() == Type::Object {
                        let (item, node) = (self.item.load(Relaxed), only.number() as u32);
                        return spares::only_choice(py, &self.batch, item, node);
                    }
                    return Ok(PyList::new(py, [self.convert(py, only, One(kind))?])?.into_any());
                }
                let list = PyList::empty(py);
                for item in first.into_iter().chain(second).chain(items) {
                    list.append(self.convert(py, item, One(kind))?)?;
                }
                Ok(list.into_any())
            }
            _ => scalar(py, value),
        }
    }

    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.doc().content() {
            Some(content) if content.kind() == Type::String => Ok(token(py, content)?.into_any()),
            Some(content) => to_python(py, content),
            None => Ok(py.None().into_bound(py)),
        }
    }

    /// A field of any name, known or not.
    fn named(&self, name: &Bound<'_, PyString>) -> PyResult<Option<Value<'_>>> {
        if let Ok(name) = name.to_cow() {
            return Ok(self.value().get_named(name.as_bytes()));
        }
        let name = name.call_method1("encode", ("utf-8", "surrogatepass"))?;
        Ok(self.value().get_named(name.cast::<PyBytes>()?.as_bytes()))
    }

    fn other<'py>(&self, class: &str, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        match self.named(name)? {
            Some(value) => to_python(name.py(), value),
            None if OPTIONAL.iter().any(|&(of, field)| of == class && name == field) => {
                Ok(name.py().None().into_bound(name.py()))
            }
            None => {
                let message = format!("'{class}' object has no attribute {}", name.repr()?);
                Err(PyAttributeError::new_err(message))
            }
        }
    }

    fn contains(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name.cast::<PyString>() {
            Ok(name) => Ok(self.named(name)?.is_some()),
            Err(_) => Ok(false),
        }
    }

    /// The view's JSON as sent; for a whole chunk, with the bytes that were no UTF-8.
    fn raw(&self) -> &[u8] {
        if self.node.load(Relaxed) == 0 { self.batch.raw(self.record()) } else { self.value().raw() }
    }
}

/// What all views are.
pub trait Looks: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync + Into<PyClassInitializer<Self>> {
    fn new(view: View) -> Self;
    fn view(&self) -> &View;
}

/// The constants of a template as Python objects, by node; made when they are asked for.
struct Constants(Box<[PyOnceLock<Py<PyAny>>]>);

/// A value that is no view. What is the same in all chunks of a template is one object for all of them, if it cannot be
/// changed.
#[inline]
fn scalar<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    match (value.kind(), value.template()) {
        (Type::String | Type::Int | Type::Float, Some(template)) => constant(py, template, value),
        (Type::String, None) => Ok(token(py, value)?.into_any()),
        _ => to_python(py, value),
    }
}

fn constant<'py>(py: Python<'py>, template: &Template, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    let new = || Box::new(Constants((0..template.nodes_count()).map(|_| PyOnceLock::new()).collect())) as _;
    let Some(Constants(objects)) = template.attachment().get_or_init(new).downcast_ref() else {
        return to_python(py, value);
    };
    let object = objects[value.number()].get_or_try_init(py, || to_python(py, value).map(Bound::unbind))?;
    Ok(object.bind(py).clone())
}

/// What `object.__getattribute__` gives.
fn generic_attribute<'py>(object: &Bound<'py, impl PyClass>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let (py, object) = (object.py(), object.as_ptr());
    // SAFETY: both are valid objects for as long as their `Bound`s, and the call gives a new reference or sets an error.
    unsafe { Bound::from_owned_ptr_or_err(py, pyo3::ffi::PyObject_GenericGetAttr(object, name.as_ptr())) }
}

/// A helper of `chunkwire._model` that does what need not be fast.
fn helper<'py>(py: Python<'py>, cell: &'static PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<&'py Bound<'py, PyAny>> {
    cell.import(py, "chunkwire._model", name)
}

macro_rules! views {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident { $($field:ident: $key:ident = $what:expr),* $(,)? } $([$($extra:tt)*])?
    )*) => {
        /// Which view.
        #[derive(Clone, Copy)]
        pub enum Kind { $($name),* }

        impl Kind {
            /// A new object.
            pub fn view(self, py: Python<'_>, view: View) -> PyResult<Bound<'_, PyAny>> {
                match self { $(Self::$name => Ok(Bound::new(py, $name(view))?.into_any())),* }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }

        $(
            $(#[doc = $doc])*
            #[pyclass(module = "chunkwire._native", frozen)]
            pub struct $name(View);

            impl Looks for $name {
                #[inline]
                fn new(view: View) -> Self {
                    Self(view)
                }

                #[inline]
                fn view(&self) -> &View {
                    &self.0
                }
            }

            #[pymethods]
            impl $name {
                $(
                    #[getter]
                    fn $field<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                        self.0.field(py, Key::$key, $what)
                    }
                )*

                $($($extra)*)?

                fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                    to_python(py, self.0.value())
                }

                #[pyo3(signature = (**options))]
                fn model_dump<'py>(slf: &Bound<'py, Self>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
                    static DUMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &DUMP, "model_dump")?.call((slf,), options)
                }

                #[pyo3(signature = (**options))]
                fn model_dump_json<'py>(slf: &Bound<'py, Self>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
                    static DUMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &DUMP, "model_dump_json")?.call((slf,), options)
                }

                #[pyo3(signature = (**options))]
                fn to_json<'py>(slf: &Bound<'py, Self>, options: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
                    static DUMP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &DUMP, "to_json")?.call((slf,), options)
                }

                #[getter]
                fn __dict__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                    static MEMBERS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &MEMBERS, "members")?.call1((slf,))
                }

                /// The way of the fields of the model, which are asked for most: without a search through the type.
                fn __getattribute__<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                    let py = slf.py();
                    if stringify!($name) == "Chunk" && name.is(intern!(py, "content")) {
                        return slf.get().0.content(py);
                    }
                    $(
                        if name.is(intern!(py, Key::$key.name())) {
                            return slf.get().0.field(py, Key::$key, $what);
                        }
                    )*
                    generic_attribute(slf, name)
                }

                fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
                    self.0.other(stringify!($name), name)
                }

                fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
                    self.0.contains(name)
                }

                fn __eq__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
                    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    if !other.is_instance(helper(py, &CLASS, stringify!($name))?)? {
                        return Ok(py.NotImplemented());
                    }
                    let equal = self.to_dict(py)?.eq(other.call_method0("to_dict")?)?;
                    Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
                }

                fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                    static DESCRIBE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &DESCRIBE, "describe")?.call1((slf,))
                }

                fn __dir__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                    static NAMES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    helper(slf.py(), &NAMES, "names")?.call1((slf,))
                }

                fn __copy__(slf: Py<Self>) -> Py<Self> {
                    slf
                }

                fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyDict>) -> Py<Self> {
                    slf
                }

                fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
                    static RESTORE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
                    let restore = helper(py, &RESTORE, "restore")?;
                    let state = (stringify!($name), PyBytes::new(py, self.0.raw()), self.0.record().offset);
                    (restore, state).into_pyobject(py)
                }
            }
        )*
    };
}

views! {
    /// One `chat.completion.chunk`.
    Chunk {
        id: Id = Plain, object: Object = Plain, created: Created = Plain, model: Model = Plain,
        system_fingerprint: SystemFingerprint = Plain, service_tier: ServiceTier = Plain,
        choices: Choices = Many(Kind::Choice), usage: Usage = One(Kind::Usage),
    } [
        /// `choices[0].delta.content`, or None.
        #[getter]
        fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
            self.0.content(py)
        }

        /// Byte offset of the event in the (decompressed) source.
        #[getter]
        fn offset(&self) -> u64 {
            self.0.record().offset
        }

        /// The event's data, exactly as sent.
        #[getter]
        fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, self.0.raw())
        }
    ]

    /// One element of `chunk.choices`.
    Choice {
        index: Index = Plain, delta: Delta = One(Kind::Delta), finish_reason: FinishReason = Plain,
        logprobs: Logprobs = One(Kind::Logprobs),
    }

    /// What a chunk adds to a message.
    Delta {
        role: Role = Plain, content: Content = Plain, refusal: Refusal = Plain,
        tool_calls: ToolCalls = Many(Kind::ToolCall), function_call: FunctionCall = One(Kind::FunctionCall),
    }

    /// One element of `delta.tool_calls`.
    ToolCall { index: Index = Plain, id: Id = Plain, r#type: Type = Plain, function: Function = One(Kind::FunctionCall) }

    /// The function of a tool call.
    FunctionCall { name: Name = Plain, arguments: Arguments = Plain }

    /// The log probabilities of a choice's tokens.
    Logprobs { content: Content = Many(Kind::TokenLogprob), refusal: Refusal = Many(Kind::TokenLogprob) }

    /// One token, its log probability, and its rivals.
    TokenLogprob {
        token: Token = Plain, logprob: Logprob = Plain, bytes: Bytes = Plain,
        top_logprobs: TopLogprobs = Many(Kind::TokenLogprob),
    }

    /// Token counts of a stream so far.
    Usage {
        prompt_tokens: PromptTokens = Plain, completion_tokens: CompletionTokens = Plain,
        total_tokens: TotalTokens = Plain,
        prompt_tokens_details: PromptTokensDetails = One(Kind::PromptTokensDetails),
        completion_tokens_details: CompletionTokensDetails = One(Kind::CompletionTokensDetails),
    }

    /// What the prompt tokens were.
    PromptTokensDetails {
        cached_tokens: CachedTokens = Plain, cache_write_tokens: CacheWriteTokens = Plain,
        audio_tokens: AudioTokens = Plain,
    }

    /// What the completion tokens were.
    CompletionTokensDetails {
        reasoning_tokens: ReasoningTokens = Plain, audio_tokens: AudioTokens = Plain,
        accepted_prediction_tokens: AcceptedPredictionTokens = Plain,
        rejected_prediction_tokens: RejectedPredictionTokens = Plain,
    }
}

/// The view that was pickled: `raw` is its JSON as sent, `offset` that of its event.
#[pyfunction]
pub fn restore<'py>(py: Python<'py>, name: &str, raw: &[u8], offset: u64) -> PyResult<Bound<'py, PyAny>> {
    let Some(kind) = Kind::from_name(name) else {
        return Err(PyValueError::new_err(format!("no view is called {name:?}")));
    };
    let decoded = decode_utf8(raw);
    let text = decoded.text.as_bytes();
    let mut builder = Builder::default();
    chunk::parse(text, text.len(), 0, builder.nodes()).map_err(|error| {
        PyValueError::new_err(format!("invalid JSON at byte {} of a pickled view: {}", error.position, error.kind))
    })?;
    let place = Place { offset, line: 0, event: 0 };
    let raw = decoded.invalid_at.map(|_| raw);
    builder.chunk(Found { place, text, at: None, raw, first_node: 0 });
    let batch = Shared::new(builder.build(SharedBlock(Arc::new(Block::Owned(Buffer::default())))), Spares::default());
    kind.view(py, View::new(&Arc::new(batch), 0, 0))
}
