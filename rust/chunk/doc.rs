//! What the careful parser or a match leaves behind: an event's structure as a flat list of nodes, and views on it.
//!
//! A document is its text and one [`Node`] a token, in the order of the text. Nothing is decoded: a node says what
//! stands where, and the views read the text when they are asked. Offsets are relative to the text's start, so the
//! nodes stay true wherever the text is moved. An event that matched a shape has no nodes of its own: it borrows those
//! of the [`Template`] and adds the spans that fill its holes, and nobody who reads a [`Value`] sees the difference.

use std::borrow::Cow;

use super::keys::Key;
use super::shape::{Span, Template};
use super::text;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// `{`; behind it its keys and values in turn.
    Object,
    /// `[`; behind it its values.
    Array,
    /// A key of an object.
    Key,
    /// A string.
    String,
    /// A number without fraction and exponent.
    Int,
    /// A number with a fraction or an exponent.
    Float,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
    /// `NaN`
    NaN,
    /// `Infinity`
    Infinity,
    /// `-Infinity`
    NegInfinity,
}

/// One token of a document, in 12 bytes.
///
/// `start..end` is its place in the text: without the quotes for keys and strings, with the brackets for containers.
/// The link holds the type (4 bits) and, by type: how many nodes a container takes with itself, a string's flags, a
/// key's flags and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub(crate) start: u32,
    pub(crate) end: u32,
    link: u32,
}

/// The string has escapes.
pub(crate) const ESCAPED: u32 = 1;
/// The string has bytes outside ASCII.
pub(crate) const NOT_ASCII: u32 = 2;
const FLAG_BITS: u32 = 2;
const TYPE_BITS: u32 = 4;
const TYPES: [Type; 16] = [
    Type::Object,
    Type::Array,
    Type::Key,
    Type::String,
    Type::Int,
    Type::Float,
    Type::True,
    Type::False,
    Type::Null,
    Type::NaN,
    Type::Infinity,
    Type::NegInfinity,
    Type::Null,
    Type::Null,
    Type::Null,
    Type::Null,
];

/// A document takes at most this many nodes, hence an event at most as many bytes: the link has 28 bits for them.
pub const MAX_NODES: usize = 1 << (32 - TYPE_BITS);

impl Node {
    #[inline]
    pub(crate) fn new(kind: Type, start: usize, end: usize, payload: u32) -> Self {
        Self { start: start as u32, end: end as u32, link: payload << TYPE_BITS | kind as u32 }
    }

    #[inline]
    pub(crate) fn key(start: usize, end: usize, flags: u32, key: Key) -> Self {
        Self::new(Type::Key, start, end, (key as u32) << FLAG_BITS | flags)
    }

    /// What the node is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Type {
        TYPES[(self.link & 15) as usize]
    }

    #[inline]
    fn payload(self) -> u32 {
        self.link >> TYPE_BITS
    }

    #[inline]
    pub(crate) fn is_container(self) -> bool {
        self.link & 15 <= Type::Array as u32
    }

    /// How many nodes it takes, itself and what is in it.
    #[inline]
    #[must_use]
    pub fn size(self) -> usize {
        if self.is_container() { self.payload() as usize } else { 1 }
    }

    /// The number of a key node.
    #[inline]
    #[must_use]
    pub fn key_number(self) -> Key {
        Key::from_number((self.payload() >> FLAG_BITS) as u8)
    }

    #[inline]
    fn is_key(self, key: Key) -> bool {
        self.payload() >> FLAG_BITS == key as u32
    }

    #[inline]
    fn flags(self) -> u32 {
        self.payload() & (ESCAPED | NOT_ASCII)
    }
}

/// An event's text with its nodes: its own, or those of a template whose holes it fills.
#[derive(Clone, Copy, Debug)]
pub struct Doc<'a> {
    text: &'a [u8],
    nodes: &'a [Node],
    filling: Option<Filling<'a>>,
}

/// How an event differs from the template that it matched.
#[derive(Clone, Copy, Debug)]
struct Filling<'a> {
    template: &'a Template,
    spans: &'a [Span],
}

impl<'a> Doc<'a> {
    /// The document that [`parse`](super::parse) left in `nodes` for `text`.
    #[inline]
    #[must_use]
    pub fn new(text: &'a [u8], nodes: &'a [Node]) -> Self {
        Self { text, nodes, filling: None }
    }

    /// The document that matched `template`, with the values that fill its holes.
    #[inline]
    #[must_use]
    pub fn shaped(text: &'a [u8], template: &'a Template, spans: &'a [Span]) -> Self {
        Self { text, nodes: template.nodes(), filling: Some(Filling { template, spans }) }
    }

    /// The template that it matched, if it did.
    #[inline]
    #[must_use]
    pub fn template(self) -> Option<&'a Template> {
        self.filling.map(|filling| filling.template)
    }

    /// Its nodes, one behind the other.
    pub fn nodes(self) -> impl ExactSizeIterator<Item = Node> + 'a {
        (0..self.nodes.len()).map(move |number| self.node(number))
    }

    /// What stands where: for a node of a template with its holes filled.
    #[inline]
    fn node(self, number: usize) -> Node {
        match self.filling {
            None => self.nodes[number],
            Some(Filling { template, spans }) => template.resolve(number, spans),
        }
    }

    /// The outermost value.
    #[inline]
    #[must_use]
    pub fn root(self) -> Value<'a> {
        self.value(0)
    }

    /// The value whose node has this number.
    #[inline]
    #[must_use]
    pub fn value(self, number: usize) -> Value<'a> {
        Value { doc: self, number }
    }

    /// `choices[0].delta.content`, as sent.
    #[inline]
    #[must_use]
    pub fn content(self) -> Option<Value<'a>> {
        if let Some(Filling { template, .. }) = self.filling {
            return template.content().map(|number| self.value(number));
        }
        let choice = self.root().get(Key::Choices)?.items().next()?;
        choice.get(Key::Delta)?.get(Key::Content)
    }

    /// The whole text.
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        self.text
    }
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    doc: Doc<'a>,
    number: usize,
}

impl<'a> Value<'a> {
    #[inline]
    fn node(self) -> Node {
        self.doc.node(self.number)
    }

    /// Its node but for what fills holes: enough for keys, and for how containers are built.
    #[inline]
    fn structure(self) -> Node {
        self.doc.nodes[self.number]
    }

    /// The number of its node in the document.
    #[inline]
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// The template that fixes it, in all events that match that; None for what fills a hole, or where there is no shape.
    #[inline]
    #[must_use]
    pub fn template(self) -> Option<&'a Template> {
        self.doc.template().filter(|template| template.is_constant(self.number))
    }

    /// Another value of the same document.
    #[inline]
    #[must_use]
    pub fn of_document(self, number: usize) -> Self {
        self.doc.value(number)
    }

    /// Is it, with all that is in it, the same in all events that match its template? Not where there is none.
    #[inline]
    #[must_use]
    pub fn is_fixed(self) -> bool {
        self.doc.template().is_some_and(|template| template.has_no_hole(self.number, self.size()))
    }

    /// How many nodes it takes, itself and what is in it.
    #[inline]
    #[must_use]
    pub fn size(self) -> usize {
        self.structure().size()
    }

    /// What it is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Type {
        match self.doc.filling {
            None => self.structure().kind(),
            Some(Filling { template, spans }) => template.kind(self.number, spans),
        }
    }

    /// Its bytes in the document: without the quotes for a string, with the brackets for a container.
    #[inline]
    #[must_use]
    pub fn text(self) -> &'a [u8] {
        let node = self.node();
        &self.doc.text[node.start as usize..node.end as usize]
    }

    /// Its JSON as sent, quotes included.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        let node = self.node();
        let quote = usize::from(node.kind() == Type::String);
        &self.doc.text[node.start as usize - quote..node.end as usize + quote]
    }

    /// The elements of an array; of anything else none.
    #[inline]
    #[must_use]
    pub fn items(self) -> Items<'a> {
        let node = self.structure();
        let end = if node.kind() == Type::Array { self.number + node.size() } else { 0 };
        Items { doc: self.doc, next: self.number + 1, end }
    }

    /// Keys and values of an object in the order sent, duplicates included; of anything else none.
    #[inline]
    #[must_use]
    pub fn members(self) -> Members<'a> {
        let node = self.structure();
        let end = if node.kind() == Type::Object { self.number + node.size() } else { 0 };
        Members { doc: self.doc, next: self.number + 1, end }
    }

    /// An object's member of this key: the last one, as `json.loads` has it.
    #[inline]
    #[must_use]
    pub fn get(self, key: Key) -> Option<Self> {
        if let Some(Filling { template, .. }) = self.doc.filling
            && let Some(known) = template.field(self.number, key)
        {
            return known.map(|number| self.doc.value(number));
        }
        let mut found = None;
        for (name, value) in self.members() {
            if name.structure().is_key(key) {
                found = Some(value);
            }
        }
        found
    }

    /// Several members at once, each as `get` gives it.
    #[inline]
    #[must_use]
    pub fn get_all<const N: usize>(self, keys: [Key; N]) -> [Option<Self>; N] {
        if self.doc.filling.is_some() {
            return keys.map(|key| self.get(key));
        }
        let mut found = [None; N];
        for (name, value) in self.members() {
            if let Some(place) = keys.iter().position(|&key| name.structure().is_key(key)) {
                found[place] = Some(value);
            }
        }
        found
    }

    /// An object's member of this name, known or not: the last one.
    #[must_use]
    pub fn get_named(self, name: &[u8]) -> Option<Self> {
        let key = Key::from_name(name);
        if key != Key::Unknown {
            return self.get(key);
        }
        self.members().filter(|(key, _)| &*key.bytes() == name).last().map(|(_, value)| value)
    }

    /// Was nothing but null sent?
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Type::Null
    }

    /// Has a key or string escapes?
    #[inline]
    #[must_use]
    pub fn is_escaped(self) -> bool {
        self.node().flags() & ESCAPED != 0
    }

    /// Is a key or string, as sent, ASCII?
    #[inline]
    #[must_use]
    pub fn is_ascii(self) -> bool {
        self.node().flags() & NOT_ASCII == 0
    }

    /// A key's number.
    #[must_use]
    pub fn key(self) -> Key {
        self.structure().key_number()
    }

    /// The text of a key or string, unescaped: UTF-8, but for lone surrogates, which stand as three bytes each.
    #[must_use]
    pub fn bytes(self) -> Cow<'a, [u8]> {
        self.unescaped(self.node())
    }

    #[inline]
    fn unescaped(self, node: Node) -> Cow<'a, [u8]> {
        let text = &self.doc.text[node.start as usize..node.end as usize];
        if node.flags() & ESCAPED == 0 { Cow::Borrowed(text) } else { Cow::Owned(text::unescape(text)) }
    }

    /// The text of a string, as `bytes`; None for anything else.
    #[inline]
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, [u8]>> {
        let node = self.node();
        (node.kind() == Type::String).then(|| self.unescaped(node))
    }

    /// Appends the text of a key or string, unescaped.
    #[inline]
    pub fn append_to(self, out: &mut Vec<u8>) {
        if self.is_escaped() {
            text::unescape_onto(self.text(), out);
        } else {
            out.extend_from_slice(self.text());
        }
    }

    /// The text of a string that is not empty.
    #[must_use]
    pub fn non_empty(self) -> Option<Cow<'a, [u8]>> {
        self.string().filter(|text| !text.is_empty())
    }

    /// A number as f64.
    #[must_use]
    pub fn number_value(self) -> Option<f64> {
        match self.kind() {
            Type::Int | Type::Float => std::str::from_utf8(self.text()).ok()?.parse().ok(),
            Type::NaN => Some(f64::NAN),
            Type::Infinity => Some(f64::INFINITY),
            Type::NegInfinity => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// A number without a fraction, written as integer or as float, that fits an i64.
    #[must_use]
    pub fn integer(self) -> Option<i64> {
        match self.kind() {
            Type::Int => integer(self.text()),
            Type::Float => {
                let number = self.number_value()?;
                // Both bounds are exact as f64; the upper one is the first that does not fit.
                let fits = number.fract() == 0.0
                    && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
                fits.then_some(number as i64)
            }
            _ => None,
        }
    }

    /// Is it true in Python's sense: not null, false, zero or empty?
    #[must_use]
    pub fn is_truthy(self) -> bool {
        match self.kind() {
            Type::Null | Type::False => false,
            Type::String => !self.text().is_empty(),
            Type::Object | Type::Array => self.size() > 1,
            Type::Int | Type::Float => self.number_value() != Some(0.0),
            _ => true,
        }
    }

    /// What it is, in JSON's words.
    #[must_use]
    pub fn kind_name(self) -> &'static str {
        match self.kind() {
            Type::Object => "object",
            Type::Array => "array",
            Type::Key | Type::String => "string",
            Type::True | Type::False => "boolean",
            Type::Null => "null",
            _ => "number",
        }
    }
}

/// A number written as an integer, if it fits.
#[inline]
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    // So many characters hold no number that is too large.
    const SHORT: usize = 18;
    if text.len() > SHORT {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let number = digits.iter().fold(0, |number, &digit| 10 * number + i64::from(digit & 15));
    Some(if digits.len() < text.len() { -number } else { number })
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    doc: Doc<'a>,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        (self.next < self.end).then(|| {
            let value = self.doc.value(self.next);
            self.next += value.size();
            value
        })
    }
}

/// Keys and values of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    doc: Doc<'a>,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        (self.next < self.end).then(|| {
            let key = self.doc.value(self.next);
            let value = self.doc.value(self.next + 1);
            self.next += 1 + value.size();
            (key, value)
        })
    }
}
