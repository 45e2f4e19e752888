//! A client's own objects out of documents: a document and the plan of a model class in, an instance out that equals
//! what the client's own construction gives.
//!
//! A plan (`plan`) says for each field what becomes of a value, in two ways: how it is
//! *constructed* (as sent, unchecked), and how it is *checked* where the client runs a validation, which is below every
//! optional field. A value whose validation would change it is left to the client, with its whole event: so nothing
//! here can be wrong, only declined. `chunkwire._session` is the same in Python.
//!
//! Objects of one class look alike. So the last one of each class is kept, and the next begins as a copy of it: only
//! members whose bytes differ are converted and set.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyList, PySet};

use super::convert::{string, to_python};
use super::instance::copied;
use super::kept::{Kept, Last, Member};
use super::plan::{Check, Construct, Field, Model, Models};
use super::tokens::token;
use crate::chunk::{Key, Type, Value};

/// Why a value was not made.
pub enum Refusal {
    /// The client's validation would fail.
    Invalid,
    /// The client has to do it: it might change the value.
    Client,
    /// Something went wrong in Python.
    Error(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Error(error)
    }
}

type Made<'py> = Result<Bound<'py, PyAny>, Refusal>;

/// Makes instances.
pub struct Maker(Py<Models>);

impl Maker {
    /// By this plan.
    pub fn new(models: Py<Models>) -> Self {
        Self(models)
    }

    /// The outermost model, of an object.
    pub fn make<'py>(&self, py: Python<'py>, root: Value<'_>) -> Made<'py> {
        let Models { models, inside, kept } = self.0.bind(py).get();
        let mut last = kept.take(py).map(|mut kept| std::mem::take(&mut *kept)).unwrap_or_default();
        last.resize_with(models.len(), Kept::default);
        let mut making = Making { py, models, last: &mut last };
        let made = match inside {
            Some(field) => making.around(*field, root),
            None => making.object(0, root, false),
        };
        if let Some(mut kept) = kept.take(py) {
            std::mem::swap(&mut *kept, &mut last);
        }
        // Not dropped under the lock: in between another stream may have made some.
        drop(last);
        made
    }
}

/// An object with more text is not kept: it would be for as long as the process lives.
const MOST_TEXT: usize = 16 << 10;

struct Making<'a, 'py> {
    py: Python<'py>,
    models: &'a [Model],
    last: &'a mut [Kept],
}

impl<'py> Making<'_, 'py> {
    /// An instance of the first model around the value of one of its fields.
    fn around(&mut self, field: usize, value: Value<'_>) -> Made<'py> {
        let (py, model) = (self.py, &self.models[0]);
        let field = &model.fields[field];
        let value = self.checked(&field.check, value)?;
        let dict = model.defaults.bind(py).copy()?;
        dict.set_item(field.name.bind(py), value)?;
        Ok(model.class.instance(&dict, &PySet::new(py, [field.name.bind(py)])?, None)?)
    }

    /// An empty instance.
    #[inline]
    fn empty(&self, number: usize) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        self.models[number].class.instance(&PyDict::new(py), &PySet::empty(py)?, None)
    }

    /// An object of JSON as an instance.
    fn object(&mut self, number: usize, object: Value<'_>, is_checked: bool) -> Made<'py> {
        // Taken while it is used: an object may hold one of its own class.
        if let Some(last) = self.last[number].last.take()
            && last.is_checked == is_checked
        {
            let made = self.like(number, object, &last);
            let kept = &mut self.last[number];
            match made {
                Ok(Some((_, changed))) if kept.rating.rate(changed) => {}
                _ => kept.last = Some(last),
            }
            if let Some((made, _)) = made? {
                return Ok(made);
            }
        }
        self.anew(number, object, is_checked)
    }

    /// An object that has the members of the last one, in its order, and how many of its scalars are others; None inside
    /// if this one has not.
    #[inline]
    fn like(
        &mut self,
        number: usize,
        object: Value<'_>,
        last: &Last,
    ) -> Result<Option<(Bound<'py, PyAny>, u32)>, Refusal> {
        let (py, model) = (self.py, &self.models[number]);
        let mut members = object.members();
        let mut at = 0;
        // Whatever is not like it is found before anything is made.
        for known in &last.members {
            let Some((key, _)) = members.next() else { return Ok(None) };
            let same = match known.key {
                Key::Unknown => key.key() == Key::Unknown && key.text() == &last.text[at..known.key_end],
                known => key.key() == known,
            };
            if !same {
                return Ok(None);
            }
            at = known.value_end;
        }
        if members.next().is_some() {
            return Ok(None);
        }
        let mut changed = 0;
        let dict = last.dict.bind(py).copy()?;
        let extra = match last.extra.bind(py) {
            _ if !model.keeps_extras => None,
            extra if extra.is_empty() => Some(PyDict::new(py)),
            extra => Some(extra.copy()?),
        };
        for (known, (key, value)) in last.members.iter().zip(object.members()) {
            if known.is_constant
                && value.kind() == known.kind
                && value.text() == &last.text[known.key_end..known.value_end]
            {
                continue;
            }
            changed += u32::from(known.is_constant);
            match known.field {
                Some(field) => {
                    let field = &model.fields[field];
                    let value = self.field(field, value, last.is_checked)?;
                    dict.set_item(field.name.bind(py), value)?;
                }
                None => {
                    if let Some(extra) = &extra {
                        extra.set_item(string(py, key)?, to_python(py, value)?)?;
                    }
                }
            }
        }
        self.refresh(number, &last.fresh, &dict)?;
        let made = model.class.instance(&dict, &copied(last.fields_set.bind(py))?, extra.as_ref())?;
        Ok(Some((made, changed)))
    }

    /// Gives these fields objects of their own.
    #[inline]
    fn refresh(&self, number: usize, fields: &[usize], dict: &Bound<'py, PyDict>) -> PyResult<()> {
        for &field in fields {
            let field = &self.models[number].fields[field];
            if let Some(model) = field.fresh {
                dict.set_item(field.name.bind(self.py), self.empty(model)?)?;
            }
        }
        Ok(())
    }

    /// An object, member by member.
    fn anew(&mut self, number: usize, object: Value<'_>, is_checked: bool) -> Made<'py> {
        let (py, model) = (self.py, &self.models[number]);
        let dict = model.defaults.bind(py).copy()?;
        let extra = PyDict::new(py);
        let fields_set = PySet::empty(py)?;
        let mut last = Last {
            is_checked,
            members: Vec::new(),
            text: Vec::new(),
            dict: PyDict::new(py).unbind(),
            fields_set: fields_set.clone().unbind(),
            extra: PyDict::new(py).unbind(),
            fresh: Vec::new(),
        };
        let (mut seen, mut ignored, mut is_plain) = (0u64, 0, true);
        // A refusal of the client outweighs none: another member may still be invalid.
        let mut refusal = None;
        for (key, value) in object.members() {
            let field = model.field(key);
            last.text.extend_from_slice(key.text());
            let key_end = last.text.len();
            let kind = value.kind();
            let is_new = kind == Type::String && field.is_some_and(|field| model.fields[field].check.makes_new_text());
            let is_constant = !is_new && !matches!(kind, Type::Object | Type::Array | Type::NaN);
            if is_constant {
                last.text.extend_from_slice(value.text());
            }
            last.members.push(Member { key: key.key(), key_end, value_end: last.text.len(), kind, is_constant, field });
            let Some(field) = field else {
                if model.is_odd(key) {
                    return Err(Refusal::Client);
                }
                if !model.keeps_extras {
                    ignored += 1;
                    continue;
                }
                let name = string(py, key)?;
                is_plain &= !extra.contains(&name)?;
                if is_checked {
                    // pydantic counts these among the fields that were set, openai does not.
                    fields_set.add(&name)?;
                }
                extra.set_item(name, to_python(py, value)?)?;
                continue;
            };
            is_plain &= seen & 1 << field == 0;
            seen |= 1 << field;
            let field = &model.fields[field];
            match self.field(field, value, is_checked) {
                Ok(value) => dict.set_item(field.name.bind(py), value)?,
                // A later duplicate may be valid.
                Err(Refusal::Invalid) if is_checked => refusal = Some(Refusal::Invalid),
                Err(Refusal::Client) if refusal.is_none() => refusal = Some(Refusal::Client),
                Err(Refusal::Client) => {}
                Err(other) => return Err(other),
            }
        }
        if let Some(refusal) = refusal {
            return Err(if is_plain { refusal } else { Refusal::Client });
        }
        for (number, field) in model.fields.iter().enumerate() {
            if seen & 1 << number != 0 {
                fields_set.add(field.name.bind(py))?;
            } else if is_checked && field.is_required {
                return Err(Refusal::Invalid);
            } else if field.fresh.is_some() {
                last.fresh.push(number);
            }
        }
        self.refresh(number, &last.fresh, &dict)?;
        let made = model.class.instance(&dict, &copied(&fields_set)?, model.keeps_extras.then_some(&extra))?;
        let is_small = last.text.len() <= MOST_TEXT;
        if is_small && is_plain && seen.count_ones() as usize + extra.len() + ignored == last.members.len() {
            let (dict, extra) = (dict.copy()?, extra.copy()?);
            // What is made anew each time need not be kept.
            for (member, (key, _)) in
                last.members.iter().zip(object.members()).filter(|(member, _)| !member.is_constant)
            {
                match member.field {
                    Some(field) => dict.set_item(model.fields[field].name.bind(py), py.None())?,
                    None if model.keeps_extras => extra.set_item(string(py, key)?, py.None())?,
                    None => {}
                }
            }
            (last.dict, last.extra) = (dict.unbind(), extra.unbind());
            let rating = self.last[number].rating.anew();
            self.last[number] = Kept { last: Some(Box::new(last)), rating };
        }
        Ok(made)
    }

    #[inline]
    fn field(&mut self, field: &Field, value: Value<'_>, is_checked: bool) -> Made<'py> {
        if is_checked {
            self.checked(&field.check, value)
        } else if value.is_null() {
            Ok(field.default.bind(self.py).clone())
        } else {
            self.constructed(&field.construct, value)
        }
    }

    fn constructed(&mut self, construct: &Construct, value: Value<'_>) -> Made<'py> {
        match (construct, value.kind()) {
            (Construct::Client, _) => Err(Refusal::Client),
            (Construct::Raw, _) => self.raw(value),
            (Construct::Float, Type::Int | Type::True | Type::False) => self.float(value),
            (Construct::Model(number), Type::Object) => self.object(*number, value, false),
            // An array in a model's place becomes an array of models.
            (Construct::Model(_), Type::Array) => Err(Refusal::Client),
            (Construct::List(item), Type::Array) => self.list(value, |this, value| this.constructed(item, value)),
            (Construct::Optional(check, construct), _) => match self.checked(check, value) {
                Err(Refusal::Invalid) => self.constructed(construct, value),
                made => made,
            },
            _ => self.raw(value),
        }
    }

    fn checked(&mut self, check: &Check, value: Value<'_>) -> Made<'py> {
        let kind = value.kind();
        match (check, kind) {
            (Check::Client, _) => Err(Refusal::Client),
            (Check::Any, _) | (Check::Int, Type::Int) | (Check::Float, Type::Float) => self.raw(value),
            (Check::Bool, Type::True | Type::False) => self.raw(value),
            (Check::Nullable(_), Type::Null) => Ok(self.py.None().into_bound(self.py)),
            (Check::Nullable(check), _) => self.checked(check, value),
            // Lone surrogates are not valid.
            (Check::Text, Type::String) if value.is_escaped() && str::from_utf8(&value.bytes()).is_err() => {
                Err(Refusal::Client)
            }
            (Check::Text, Type::String) => self.raw(value),
            (Check::Literal(texts), Type::String) => {
                let bytes = value.bytes();
                if texts.iter().any(|text| **text == *bytes) { self.raw(value) } else { Err(Refusal::Invalid) }
            }
            (Check::Open(texts, class), Type::String) => {
                let (bytes, text) = (value.bytes(), self.raw(value)?);
                if texts.iter().any(|text| **text == *bytes) {
                    Ok(text)
                } else {
                    Ok(class.bind(self.py).call1((text,))?)
                }
            }
            (Check::Enum(members), Type::String) => {
                let bytes = value.bytes();
                let member = members.iter().find(|(text, _)| **text == *bytes);
                member.map_or(Err(Refusal::Invalid), |(_, member)| Ok(member.bind(self.py).clone()))
            }
            (Check::Kinds(checks), kind) => {
                let check = match kind {
                    Type::String => &checks[0],
                    Type::Object => &checks[1],
                    Type::Array => &checks[2],
                    _ => &checks[3],
                };
                self.checked(check, value)
            }
            (Check::Float, Type::Int) => self.float(value),
            (Check::Model(number), Type::Object) => self.object(*number, value, true),
            (Check::List(item), Type::Array) => self.list(value, |this, value| this.checked(item, value)),
            // A validation that is not strict makes one of the other.
            (
                Check::Int | Check::Float | Check::Bool,
                Type::Int
                | Type::Float
                | Type::String
                | Type::True
                | Type::False
                | Type::NaN
                | Type::Infinity
                | Type::NegInfinity,
            ) => Err(Refusal::Client),
            _ => Err(Refusal::Invalid),
        }
    }

    fn list(&mut self, value: Value<'_>, mut make: impl FnMut(&mut Self, Value<'_>) -> Made<'py>) -> Made<'py> {
        let mut items = value.items();
        let mut refusal = None;
        let list = match (items.next(), items.next()) {
            (Some(only), None) => return Ok(PyList::new(self.py, [make(self, only)?])?.into_any()),
            (first, second) => {
                let list = PyList::empty(self.py);
                for item in first.into_iter().chain(second).chain(items) {
                    match make(self, item) {
                        Ok(item) => list.append(item)?,
                        Err(Refusal::Client) if refusal.is_none() => refusal = Some(Refusal::Client),
                        Err(Refusal::Client) => {}
                        Err(Refusal::Invalid) => refusal = Some(Refusal::Invalid),
                        Err(error) => return Err(error),
                    }
                }
                list
            }
        };
        refusal.map_or_else(|| Ok(list.into_any()), Err)
    }

    #[inline]
    fn raw(&self, value: Value<'_>) -> Made<'py> {
        match value.kind() {
            Type::String => Ok(token(self.py, value)?.into_any()),
            _ => Ok(to_python(self.py, value)?),
        }
    }

    /// A float of an integer, if it is one exactly.
    fn float(&self, value: Value<'_>) -> Made<'py> {
        const EXACT: i64 = 1 << 53;
        match (value.kind(), value.integer()) {
            (Type::Int, Some(integer)) if (-EXACT..=EXACT).contains(&integer) => {
                Ok(PyFloat::new(self.py, integer as f64).into_any())
            }
            _ => Err(Refusal::Client),
        }
    }
}
