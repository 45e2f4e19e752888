//! Tool calls in the making: the elements of `delta.tool_calls` in, whole calls out.

use std::collections::HashMap;

use super::fold::{Object, members_of};
use super::trail::Trail;
use crate::chunk::{Key, Type, Value};

/// The tool calls of a message, in the order in which they begin.
///
/// Which call an element adds to, where servers leave the index or the id out, or give them twice:
///
/// - One with an `id` that a call of the same `index` has (or any call, if it has no `index`) adds to that.
/// - Else it adds to the last call of its `index`, or without `index` to the call before; there it begins a new one if
///   there is none.
/// - But it begins a new call if that one has another `id` and the element names a function, or if it names another
///   function (without `index`: any function, once the call has one). A new `id` alone does not: some servers make
///   one up for each piece.
///
/// A call keeps its first `id`. Its other fields are folded as those of a delta; `index` is not kept.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Object>,
    by_index: HashMap<i64, usize>,
    by_id: HashMap<(Option<i64>, Box<[u8]>), usize>,
    last: usize,
}

impl Calls {
    /// The finished calls.
    pub(super) fn into_calls(self) -> Vec<Object> {
        self.calls
    }

    /// The call in this place.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Object> {
        self.calls.get_mut(place)
    }

    /// Adds what a delta has of calls. What is no object is passed over.
    pub(super) fn fold(&mut self, new: Value<'_>, trail: &mut Trail) {
        let mut elements = new.items().filter(|element| element.kind() == Type::Object);
        if elements.clone().count() > 1 {
            // The call before the first of them is another one the next time.
            trail.give_up();
        }
        for element in &mut elements {
            self.fold_element(element, trail);
        }
    }

    fn fold_element(&mut self, element: Value<'_>, trail: &mut Trail) {
        let [index, id] = element.get_all([Key::Index, Key::Id]);
        let (index, id) = (index.and_then(Value::integer), id.and_then(Value::non_empty));
        let place = self.place_of(element, index, id.as_deref()).unwrap_or_else(|| {
            trail.give_up();
            self.calls.push(Object::default());
            self.calls.len() - 1
        });
        self.last = place;
        if let Some(index) = index {
            self.by_index.insert(index, place);
        }
        trail.enter(place);
        for (name, value) in members_of(element) {
            match &*name {
                b"index" => trail.see(value),
                b"id" if self.calls[place].non_empty(b"id").is_some() => trail.see(value),
                _ => self.calls[place].fold_member(&name, value, 1, trail),
            }
        }
        trail.leave();
        if let Some(id) = id
            && self.calls[place].non_empty(b"id") == Some(&id)
        {
            self.by_id.insert((index, (*id).into()), place);
            self.by_id.insert((None, (*id).into()), place);
        }
    }

    fn place_of(&self, element: Value<'_>, index: Option<i64>, id: Option<&[u8]>) -> Option<usize> {
        if let Some(id) = id
            && let Some(&place) = self.by_id.get(&(index, id.into()))
        {
            return Some(place);
        }
        let place = match index {
            Some(index) => *self.by_index.get(&index)?,
            None => self.last,
        };
        let call = self.calls.get(place)?;
        let named = |name: &[u8]| element.get_named(name).and_then(|tool| tool.get(Key::Name)?.non_empty());
        let Some(name) = named(b"function").or_else(|| named(b"custom")) else { return Some(place) };
        let named = |name: &[u8]| call.get(name)?.object()?.non_empty(b"name");
        let known = named(b"function").or_else(|| named(b"custom"));
        let other_id = id.is_some() && call.non_empty(b"id").is_some();
        let other_name = known.is_some_and(|known| index.is_none() || known != &*name);
        (!other_id && !other_name).then_some(place)
    }
}
