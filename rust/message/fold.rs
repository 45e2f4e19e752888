//! Values in the making: the pieces of a field, chunk by chunk, in; what they are together out.
//!
//! Which pieces go together how is said in [`super::rules`].

use std::borrow::Cow;
use std::collections::HashMap;

use super::rules::{MAX_DEPTH, is_identifier, is_running};
use super::trail::Trail;
use crate::chunk::{Key, Type, Value};

/// An object of more members finds them by a table.
const FEW: usize = 16;
/// A run of array elements is cut behind so many bytes, so that each can be parsed.
const RUN: usize = 16 << 20;

/// A value in the making.
#[derive(Debug)]
pub enum Folded {
    /// Nothing but null was sent.
    Null,
    /// What is replaced whole, as it was sent.
    Raw(Vec<u8>),
    /// A string, unescaped: UTF-8, but for lone surrogates.
    Text(Vec<u8>),
    /// An object that is folded member by member.
    Object(Object),
    /// An array that is folded element by element.
    List(List),
    /// An array that only grows: runs of elements as they were sent, with commas between them.
    Runs(Vec<Vec<u8>>),
}

impl Folded {
    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub(super) fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Is something of another kind from now on. If that can happen twice in a chunk, it happens for each again.
    fn change(&mut self, new: Self, trail: &mut Trail) {
        if !matches!(self, Self::Null) {
            trail.give_up();
        }
        *self = new;
    }

    fn make_object(&mut self, trail: &mut Trail) -> &mut Object {
        if !matches!(self, Self::Object(_)) {
            self.change(Self::Object(Object::default()), trail);
        }
        let Self::Object(object) = self else { unreachable!("it was just made one") };
        object
    }

    fn make_list(&mut self, trail: &mut Trail) -> &mut List {
        if !matches!(self, Self::List(_)) {
            self.change(Self::List(List::default()), trail);
        }
        let Self::List(list) = self else { unreachable!("it was just made one") };
        list
    }

    /// Is what was sent last.
    pub(super) fn replace(&mut self, new: Value<'_>, trail: &mut Trail) {
        trail.see(new);
        match self {
            Self::Raw(raw) => {
                raw.clear();
                raw.extend_from_slice(new.raw());
            }
            _ => self.change(Self::Raw(new.raw().to_vec()), trail),
        }
    }

    /// Adds a piece of a field of a delta.
    pub(super) fn fold(&mut self, new: Value<'_>, name: &[u8], depth: usize, trail: &mut Trail) {
        match new.kind() {
            Type::Null => {}
            Type::String => self.fold_string(new, name, trail),
            Type::Object if depth < MAX_DEPTH => self.make_object(trail).fold(new, depth + 1, trail),
            Type::Array if depth < MAX_DEPTH => self.make_list(trail).fold(new, name, depth, trail),
            _ => self.replace(new, trail),
        }
    }

    fn fold_string(&mut self, new: Value<'_>, name: &[u8], trail: &mut Trail) {
        if is_identifier(name) {
            trail.see(new);
            if let Self::Text(text) = self {
                if !new.text().is_empty() {
                    text.clear();
                    new.append_to(text);
                }
                return;
            }
        } else {
            trail.append(new);
            if let Self::Text(text) = self {
                new.append_to(text);
                return;
            }
        }
        self.change(Self::Text(new.bytes().into_owned()), trail);
    }

    /// Adds a piece of a message's content, in which strings and arrays can take turns.
    pub(super) fn fold_content(&mut self, new: Value<'_>, trail: &mut Trail) {
        match (&mut *self, new.kind()) {
            (Self::Text(text), Type::Array) => {
                let mut list = List::default();
                list.push_text(text);
                self.change(Self::List(list), trail);
            }
            (Self::List(list), Type::String) => {
                trail.give_up();
                list.push_text(&new.bytes());
                return;
            }
            _ => {}
        }
        self.fold(new, b"content", 0, trail);
    }

    /// The last one counts, but for null; of an object the last one of each member.
    pub(super) fn fold_last(&mut self, new: Value<'_>, trail: &mut Trail) {
        match new.kind() {
            Type::Null => {}
            Type::Object => {
                let object = self.make_object(trail);
                for (name, value) in members_of(new) {
                    let place = object.place_for(name);
                    if !value.is_null() {
                        object.members[place].1.replace(value, trail);
                    }
                }
            }
            _ => self.replace(new, trail),
        }
    }

    /// Of an object, each member by itself: elements of arrays come one behind the other.
    pub(super) fn fold_object_elements(&mut self, new: Value<'_>, trail: &mut Trail) {
        let object = self.make_object(trail);
        for (name, value) in members_of(new) {
            let place = object.place_for(name);
            object.members[place].1.fold_elements(value, trail);
        }
    }

    /// Elements of arrays come one behind the other; of anything else the last one counts.
    pub(super) fn fold_elements(&mut self, new: Value<'_>, trail: &mut Trail) {
        if new.kind() != Type::Array {
            self.fold_last(new, trail);
            return;
        }
        if !matches!(self, Self::Runs(_)) {
            self.change(Self::Runs(Vec::new()), trail);
        }
        let Self::Runs(runs) = self else { unreachable!("it was just made such") };
        if !new.is_truthy() {
            return;
        }
        trail.give_up();
        let raw = new.raw();
        let elements = &raw[1..raw.len() - 1];
        match runs.last_mut() {
            Some(run) if run.len() + elements.len() < RUN => {
                run.push(b',');
                run.extend_from_slice(elements);
            }
            _ => runs.push(elements.to_vec()),
        }
    }
}

/// An object in the making: its members in the order in which they came first.
#[derive(Debug, Default)]
pub struct Object {
    members: Vec<(Box<[u8]>, Folded)>,
    /// Where each member is, once there are many.
    places: HashMap<Box<[u8]>, usize>,
}

impl Object {
    /// Names and values.
    pub fn members(&self) -> impl Iterator<Item = (&[u8], &Folded)> {
        self.members.iter().map(|(name, value)| (&**name, value))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Folded> {
        self.place_of(name).map(|place| &self.members[place].1)
    }

    /// The text of a string that is not empty.
    pub(super) fn non_empty(&self, name: &[u8]) -> Option<&[u8]> {
        self.get(name).and_then(Folded::text).filter(|text| !text.is_empty())
    }

    /// The member in this place.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Folded> {
        self.members.get_mut(place).map(|(_, value)| value)
    }

    fn place_of(&self, name: &[u8]) -> Option<usize> {
        if self.members.len() > FEW {
            return self.places.get(name).copied();
        }
        self.members.iter().position(|(known, _)| **known == *name)
    }

    /// The place of a member, null if it is new.
    pub(super) fn place_for(&mut self, name: impl AsRef<[u8]>) -> usize {
        let name = name.as_ref();
        if let Some(place) = self.place_of(name) {
            return place;
        }
        self.members.push((name.into(), Folded::Null));
        let count = self.members.len();
        if count == FEW + 1 {
            self.places = self.members.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        } else if count > FEW {
            self.places.insert(name.into(), count - 1);
        }
        count - 1
    }

    /// Adds an object, member by member.
    fn fold(&mut self, new: Value<'_>, depth: usize, trail: &mut Trail) {
        for (name, value) in members_of(new) {
            self.fold_member(&name, value, depth, trail);
        }
    }

    /// Adds to a member.
    pub(super) fn fold_member(&mut self, name: &[u8], value: Value<'_>, depth: usize, trail: &mut Trail) {
        let place = self.place_for(name);
        trail.enter(place);
        self.members[place].1.fold(value, name, depth, trail);
        trail.leave();
    }
}

/// An array in the making.
#[derive(Debug, Default)]
pub struct List {
    items: Vec<Folded>,
    /// The last element of each `index`.
    by_index: HashMap<i64, usize>,
    /// The last element has no `index`, but running text.
    runs: bool,
}

impl List {
    /// The elements.
    pub fn items(&self) -> &[Folded] {
        &self.items
    }

    /// The element in this place.
    pub(super) fn at(&mut self, place: usize) -> Option<&mut Folded> {
        self.items.get_mut(place)
    }

    fn fold(&mut self, new: Value<'_>, name: &[u8], depth: usize, trail: &mut Trail) {
        for item in new.items() {
            self.fold_item(item, name, depth, trail);
        }
    }

    fn fold_item(&mut self, item: Value<'_>, name: &[u8], depth: usize, trail: &mut Trail) {
        let [index, kind, id] = item.get_all([Key::Index, Key::Type, Key::Id]);
        let index = index.and_then(Value::integer);
        let [kind, id] = [kind, id].map(|value| value.and_then(Value::non_empty));
        let runs = index.is_none() && kind.as_ref().is_some_and(|kind| is_running(kind));
        let replaces = name == b"executed_tools" && depth == 0;
        if item.kind() != Type::Object || (index.is_none() && !runs) || replaces {
            trail.give_up();
            let raw = Folded::Raw(item.raw().to_vec());
            match index.and_then(|index| self.by_index.get(&index)) {
                Some(&place) => self.items[place] = raw,
                None => self.push(raw, index, false),
            }
            return;
        }
        let place = match index {
            Some(index) => self.by_index.get(&index).copied(),
            None => self.items.len().checked_sub(1).filter(|_| self.runs),
        };
        let place = place.filter(|&place| agrees(&self.items[place], kind.as_deref(), id.as_deref()));
        let place = place.unwrap_or_else(|| {
            trail.give_up();
            self.push(Folded::Null, index, runs);
            self.items.len() - 1
        });
        trail.enter(place);
        self.items[place].fold(item, name, depth + 1, trail);
        trail.leave();
    }

    fn push(&mut self, item: Folded, index: Option<i64>, runs: bool) {
        if let Some(index) = index {
            self.by_index.insert(index, self.items.len());
        }
        self.runs = runs;
        self.items.push(item);
    }

    /// Adds a string to content that is an array.
    fn push_text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.runs
            && let Some(Folded::Object(last)) = self.items.last_mut()
            && last.get(b"type").and_then(Folded::text) == Some(b"text")
        {
            let place = last.place_for(b"text");
            match &mut last.members[place].1 {
                Folded::Text(known) => known.extend_from_slice(text),
                other => *other = Folded::Text(text.to_vec()),
            }
            return;
        }
        let mut part = Object::default();
        for (name, text) in [(&b"type"[..], &b"text"[..]), (b"text", text)] {
            part.members.push((name.into(), Folded::Text(text.to_vec())));
        }
        self.push(Folded::Object(part), None, true);
    }
}

/// May an element of this type and id go on with that one?
fn agrees(known: &Folded, kind: Option<&[u8]>, id: Option<&[u8]>) -> bool {
    let Folded::Object(known) = known else { return false };
    let same = |name: &[u8], new: Option<&[u8]>| match (known.non_empty(name), new) {
        (Some(known), Some(new)) => known == new,
        _ => true,
    };
    same(b"type", kind) && same(b"id", id)
}

/// An object's members: of those with the same name the last one, in the place of the first.
pub(super) fn members_of(object: Value<'_>) -> Vec<(Cow<'_, [u8]>, Value<'_>)> {
    let mut members: Vec<(Cow<'_, [u8]>, Value<'_>)> = Vec::with_capacity(8);
    let mut places: HashMap<Cow<'_, [u8]>, usize> = HashMap::new();
    for (key, value) in object.members() {
        let name = key.bytes();
        let known = if members.len() <= FEW {
            members.iter().position(|(known, _)| *known == name)
        } else {
            if places.is_empty() {
                places = members.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
            }
            places.get(&name).copied()
        };
        if let Some(place) = known {
            members[place].1 = value;
            continue;
        }
        if !places.is_empty() {
            places.insert(name.clone(), members.len());
        }
        members.push((name, value));
    }
    members
}
