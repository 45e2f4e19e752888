//! The plan of a client's model classes, as `chunkwire.adapters` read it off them: tuples and words in, the ways to make and
//! to check each field out. See `models`, which makes instances by it.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use super::instance::Class;
use super::kept::Kept;
use super::lock::AttachedLock;
use crate::chunk::{KEY_COUNT, Key, Value};

/// How a value that is not null is constructed.
pub enum Construct {
    /// As it was sent.
    Raw,
    /// An integer becomes a float.
    Float,
    /// An object becomes this model.
    Model(usize),
    /// The elements of an array are constructed so.
    List(Box<Self>),
    /// What passes the check is that; what does not is constructed.
    Optional(Box<Check>, Box<Self>),
    /// Only the client knows.
    Client,
}

/// How a value is validated.
pub enum Check {
    Any,
    Text,
    Int,
    Float,
    Bool,
    /// One of these texts.
    Literal(Vec<Vec<u8>>),
    /// One of these texts, or an instance of this class of it.
    Open(Vec<Vec<u8>>, Py<PyAny>),
    /// A text that stands for an object.
    Enum(Vec<(Vec<u8>, Py<PyAny>)>),
    Model(usize),
    List(Box<Self>),
    /// Or null.
    Nullable(Box<Self>),
    /// Each kind of value in a way of its own: text, object, array, all else.
    Kinds(Box<[Self; 4]>),
    /// There is no such value.
    Never,
    Client,
}

/// A field of a model.
pub struct Field {
    pub name: Py<PyString>,
    pub default: Py<PyAny>,
    /// The model of which each instance has an empty one of its own by default.
    pub fresh: Option<usize>,
    pub is_required: bool,
    pub construct: Construct,
    pub check: Check,
}

/// A model class, and what becomes of the members of an object.
pub struct Model {
    pub class: Class,
    pub fields: Vec<Field>,
    /// What the fields are called in JSON, for keys without a number.
    pub keys: Vec<Vec<u8>>,
    pub by_key: [Option<u8>; KEY_COUNT],
    /// Names of fields that are called otherwise in JSON: only the client knows which of both counts.
    pub names: Vec<Vec<u8>>,
    pub defaults: Py<PyDict>,
    /// Are members that are no fields kept?
    pub keeps_extras: bool,
}

/// The plan of a model class and of those below it.
#[pyclass(module = "chunkwire._native", frozen)]
pub struct Models {
    pub models: Vec<Model>,
    /// The documents are values of this field of the first model, which is checked.
    pub inside: Option<usize>,
    /// By model. All streams use these in turn, for thousands may be open; empty while one does.
    pub(super) kept: AttachedLock<Vec<Kept>>,
}

#[pymethods]
impl Models {
    /// Of each model: its class, its three slots, its defaults by name, are members kept that are no fields, and its
    /// fields, each a tuple of name, key, is it required, two specifications, and the number of a model of which it has
    /// an empty instance by default, or None. The first model is the outermost. With `inside` a document is the value of
    /// that field of it.
    #[new]
    #[pyo3(signature = (models, *, inside=None))]
    fn new(models: &Bound<'_, PyList>, inside: Option<&str>) -> PyResult<Self> {
        let count = models.len();
        let models = models.iter().map(|model| Model::new(&model, count)).collect::<PyResult<Vec<_>>>()?;
        let field = |name: &str| models.first()?.keys.iter().position(|key| **key == *name.as_bytes());
        let inside = match inside {
            Some(name) => Some(field(name).ok_or_else(|| PyValueError::new_err(format!("no field {name:?}")))?),
            None => None,
        };
        Ok(Self { models, inside, kept: AttachedLock::default() })
    }
}

type Argument<'py> = Option<Bound<'py, PyAny>>;

/// A specification: a tuple of a word and what belongs to it.
fn word<'py>(spec: &Bound<'py, PyAny>) -> PyResult<(String, Argument<'py>, Argument<'py>)> {
    let spec = spec.cast::<PyTuple>()?;
    Ok((spec.get_item(0)?.extract()?, spec.get_item(1).ok(), spec.get_item(2).ok()))
}

/// The number of a model.
fn number(object: &Bound<'_, PyAny>, count: usize) -> PyResult<usize> {
    let number = object.extract()?;
    if number < count { Ok(number) } else { Err(PyValueError::new_err("a plan names a model that it does not have")) }
}

impl Construct {
    fn new(spec: &Bound<'_, PyAny>, count: usize) -> PyResult<Self> {
        let (word, first, second) = word(spec)?;
        Ok(match (word.as_str(), first, second) {
            ("raw", ..) => Self::Raw,
            ("float", ..) => Self::Float,
            ("model", Some(model), _) => Self::Model(number(&model, count)?),
            ("list", Some(item), _) => Self::List(Self::new(&item, count)?.into()),
            ("optional", Some(check), Some(construct)) => {
                Self::Optional(Check::new(&check, count)?.into(), Self::new(&construct, count)?.into())
            }
            _ => Self::Client,
        })
    }
}

impl Check {
    /// May a text become an object that its owner can change?
    pub fn makes_new_text(&self) -> bool {
        match self {
            Self::Open(..) => true,
            Self::Nullable(check) => check.makes_new_text(),
            Self::Kinds(checks) => checks[0].makes_new_text(),
            _ => false,
        }
    }

    fn new(spec: &Bound<'_, PyAny>, count: usize) -> PyResult<Self> {
        let (word, first, second) = word(spec)?;
        Ok(match (word.as_str(), first) {
            ("any", _) => Self::Any,
            ("str", _) => Self::Text,
            ("int", _) => Self::Int,
            ("float", _) => Self::Float,
            ("bool", _) => Self::Bool,
            ("literal", Some(texts)) => {
                Self::Literal(texts.extract::<Vec<String>>()?.into_iter().map(String::into_bytes).collect())
            }
            ("open", Some(texts)) => Self::Open(
                texts.extract::<Vec<String>>()?.into_iter().map(String::into_bytes).collect(),
                second.ok_or_else(|| PyValueError::new_err("an open set of texts without a class"))?.unbind(),
            ),
            ("enum", Some(members)) => Self::Enum(
                members
                    .extract::<Vec<(String, Py<PyAny>)>>()?
                    .into_iter()
                    .map(|(text, member)| (text.into_bytes(), member))
                    .collect(),
            ),
            ("model", Some(model)) => Self::Model(number(&model, count)?),
            ("list", Some(item)) => Self::List(Self::new(&item, count)?.into()),
            ("nullable", Some(check)) => Self::Nullable(Self::new(&check, count)?.into()),
            ("kinds", Some(checks)) => {
                let [text, object, array, other] = checks.extract::<[Bound<'_, PyAny>; 4]>()?;
                let new = |check| Self::new(check, count);
                Self::Kinds(Box::new([new(&text)?, new(&object)?, new(&array)?, new(&other)?]))
            }
            ("never", _) => Self::Never,
            _ => Self::Client,
        })
    }
}

impl Model {
    fn new(model: &Bound<'_, PyAny>, count: usize) -> PyResult<Self> {
        type Slots<'py> = [Bound<'py, PyAny>; 3];
        type Parts<'py> = (Bound<'py, PyType>, Slots<'py>, Bound<'py, PyDict>, bool, Vec<Bound<'py, PyTuple>>);
        let (class, slots, defaults, keeps_extras, specs): Parts<'_> = model.extract()?;
        let mut fields = Vec::with_capacity(specs.len());
        let mut keys = Vec::with_capacity(specs.len());
        let mut names = Vec::new();
        let mut by_key = [None; KEY_COUNT];
        for (place, spec) in specs.iter().enumerate() {
            let name = spec.get_item(0)?.cast_into::<PyString>()?;
            let key = spec.get_item(1)?.extract::<String>()?.into_bytes();
            if key != name.to_cow()?.as_bytes() {
                names.push(name.to_cow()?.into_owned().into_bytes());
            }
            match Key::from_name(&key) {
                Key::Unknown => {}
                key => by_key[key as usize] = Some(place as u8),
            }
            keys.push(key);
            let fresh = spec.get_item(5)?;
            fields.push(Field {
                default: defaults.as_any().get_item(&name)?.unbind(),
                fresh: if fresh.is_none() { None } else { Some(number(&fresh, count)?) },
                name: name.unbind(),
                is_required: spec.get_item(2)?.extract()?,
                construct: Construct::new(&spec.get_item(3)?, count)?,
                check: Check::new(&spec.get_item(4)?, count)?,
            });
        }
        if fields.len() > MOST_FIELDS {
            return Err(PyValueError::new_err(format!("a model of more than {MOST_FIELDS} fields")));
        }
        let (class, defaults) = (Class::new(&class, &slots)?, defaults.unbind());
        Ok(Self { class, fields, keys, by_key, names, defaults, keeps_extras })
    }

    /// The number of the field that a key names.
    #[inline]
    pub fn field(&self, key: Value<'_>) -> Option<usize> {
        match key.key() {
            Key::Unknown => {
                let bytes = key.bytes();
                self.keys.iter().position(|name| **name == *bytes)
            }
            key => self.by_key[key as usize].map(usize::from),
        }
    }

    /// May a member that is no field mean something all the same, to pydantic or to the client's constructor?
    pub fn is_odd(&self, key: Value<'_>) -> bool {
        let bytes = key.bytes();
        self.keeps_extras && bytes.starts_with(b"_") || self.names.iter().any(|name| **name == *bytes)
    }
}

/// So many fields a bit set has room for.
const MOST_FIELDS: usize = 64;
