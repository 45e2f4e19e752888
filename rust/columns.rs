//! The column room: chunks out of batches in, columns with a row for each chunk out.

use crate::chunk::{Doc, Key, Type, Value};
use crate::numbers::{KNOWN, Mark};
use crate::stream::Categories;

/// How many bytes of content are kept for the next batch.
const USUAL_CONTENT: usize = 1 << 22;

/// Some chunks of a source, in its order, as columns.
#[derive(Default)]
pub struct ChunkColumns {
    /// The number of its stream: see [`crate::stream::Tracker::number`].
    pub stream: Vec<i64>,
    /// Where the event stands in the source.
    pub offset: Vec<i64>,
    /// `choices[0].index`; -1 where there is none, or it is no integer.
    pub index: Vec<i64>,
    /// `choices[0].delta.content` of all rows, one behind the other: UTF-8, but for lone surrogates.
    pub content: Vec<u8>,
    /// Where in that each row's ends.
    pub content_end: Vec<i64>,
    /// Was the row's content a string?
    pub has_content: Vec<u8>,
    /// The chunk's id.
    pub id: Texts,
    /// Its model.
    pub model: Texts,
    /// `choices[0].finish_reason`
    pub finish_reason: Texts,
    last: Option<Constants>,
    /// Rows of chunks that others are like, and the numbers that these have.
    alike: [(u64, Row); KNOWN],
}

/// A column of texts that repeat: a code for each row, -1 where none was sent.
#[derive(Default)]
pub struct Texts {
    /// One code a row.
    pub codes: Vec<i32>,
    /// The text of each code.
    pub categories: Categories,
}

impl Texts {
    fn code(&mut self, value: Option<Value<'_>>) -> i32 {
        let text = value.filter(|value| value.kind() == Type::String).map(Value::bytes);
        text.map_or(-1, |text| self.categories.code(&text))
    }
}

/// What the last chunk had that every chunk of its template has.
#[derive(Clone, Copy)]
struct Constants {
    template: u64,
    row: Row,
}

/// A row but for its place and its content: codes and numbers.
#[derive(Clone, Copy, Default)]
struct Row {
    index: i64,
    id: i32,
    model: i32,
    finish_reason: i32,
}

impl ChunkColumns {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offset.len()
    }

    /// Makes room for the rows of another batch, in the same memory. What a batch of much content grew goes back.
    pub fn clear(&mut self) {
        for numbers in [&mut self.stream, &mut self.offset, &mut self.index, &mut self.content_end] {
            numbers.clear();
        }
        self.content.clear();
        self.content.shrink_to(USUAL_CONTENT);
        self.has_content.clear();
        for texts in [&mut self.id, &mut self.model, &mut self.finish_reason] {
            texts.codes.clear();
            texts.categories = Categories::default();
        }
        self.last = None;
        self.alike = Default::default();
    }

    /// Adds a chunk of which this is told, and whose event stands at `offset`.
    pub fn push(&mut self, doc: Doc<'_>, offset: u64, mark: Mark) {
        let place = mark.alike as usize % KNOWN;
        let row = match (self.last, doc.template()) {
            (Some(last), Some(template)) if last.template == template.number() => last.row,
            // Like chunks say the same of all that is in a row.
            _ if mark.alike != 0 && self.alike[place].0 == mark.alike => self.alike[place].1,
            _ => {
                let row = self.row(doc);
                self.alike[place] = (mark.alike, row);
                row
            }
        };
        let content = doc.content().and_then(Value::string);
        self.content.extend_from_slice(content.as_deref().unwrap_or_default());
        self.stream.push(mark.stream);
        self.offset.push(offset as i64);
        self.index.push(row.index);
        self.content_end.push(self.content.len() as i64);
        self.has_content.push(content.is_some().into());
        self.id.codes.push(row.id);
        self.model.codes.push(row.model);
        self.finish_reason.codes.push(row.finish_reason);
    }

    fn row(&mut self, doc: Doc<'_>) -> Row {
        let [id, model, choices] = doc.root().get_all([Key::Id, Key::Model, Key::Choices]);
        let choice = choices.and_then(|choices| choices.items().next());
        let [index, finish_reason] = choice.map_or([None; 2], |choice| choice.get_all([Key::Index, Key::FinishReason]));
        let row = Row {
            index: index.and_then(Value::integer).unwrap_or(-1),
            id: self.id.code(id),
            model: self.model.code(model),
            finish_reason: self.finish_reason.code(finish_reason),
        };
        let is_constant = |value: Option<Value<'_>>| value.is_none_or(|value| value.template().is_some());
        self.last = doc
            .template()
            .filter(|_| [id, model, index, finish_reason].into_iter().all(is_constant))
            .map(|template| Constants { template: template.number(), row });
        row
    }
}
