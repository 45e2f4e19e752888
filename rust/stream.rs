//! The stream room: chunks in the order of the source in, one row for each stream out.
//!
//! A stream is all chunks of one response. It ends at `[DONE]`, or where a chunk with another id begins once it has
//! finished; logs interleave streams, and then the id tells them apart. What servers do to ids, and what follows from
//! it, is said at [`Tracker::row_of`].

mod early;
mod exchange;
mod forget;
mod measured;
mod numbered;
mod row;

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

pub use measured::Measured;
pub use row::{Kept, Row, Status};

use crate::chunk::shape::Template;
use crate::chunk::{Doc, Key, Node, Type, Value};
use crate::decoder::{Body, Exchange, Found, Shaped, Sink};
use crate::error::{Damage, Kind, Place};
use crate::reported::{Times, cost_beside_usage};
use crate::written::Written;

/// At most this many streams can be interleaved; beyond it those that were silent longest are closed.
const MAX_OPEN: usize = 4096;

/// How many nodes are kept for the next event.
const USUAL_NODES: usize = 1 << 16;

/// Texts that repeat from row to row, each kept once.
#[derive(Clone, Default)]
pub struct Categories {
    codes: HashMap<Box<[u8]>, i32>,
    texts: Vec<Box<[u8]>>,
}

impl Categories {
    /// The code of a text, a new one if it is new.
    pub fn code(&mut self, text: &[u8]) -> i32 {
        // Most often the text is the one that is newest.
        if let Some(last) = self.texts.last()
            && **last == *text
        {
            return self.texts.len() as i32 - 1;
        }
        if let Some(&code) = self.codes.get(text) {
            return code;
        }
        let code = self.texts.len() as i32;
        self.codes.insert(text.into(), code);
        self.texts.push(text.into());
        code
    }

    /// All texts, in the order of their codes.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// The text of a code.
    #[must_use]
    pub fn text(&self, code: i32) -> Option<&[u8]> {
        usize::try_from(code).ok().and_then(|code| self.texts.get(code)).map(AsRef::as_ref)
    }
}

/// All streams of a source, in the order in which they began.
pub struct Streams {
    /// One for each stream.
    pub rows: Vec<Row>,
    /// Texts of [`Row::model`].
    pub models: Categories,
    /// Texts of [`Row::finish_reason`].
    pub finish_reasons: Categories,
    /// Usage that was no object.
    pub damages: Vec<Damage>,
}

/// The members of a chunk that say to which stream it belongs, and what it adds to it.
struct Members<'a> {
    root: Value<'a>,
    id: Option<Value<'a>>,
    model: Option<Value<'a>>,
    created: Option<Value<'a>>,
    choices: Option<Value<'a>>,
    usage: Option<Value<'a>>,
    x_groq: Option<Value<'a>>,
    cost: Option<Value<'a>>,
    error: Option<Value<'a>>,
}

impl<'a> Members<'a> {
    #[inline]
    fn of(root: Value<'a>) -> Self {
        let [id, model, created, choices, usage, x_groq, cost, error] = root.get_all([
            Key::Id,
            Key::Model,
            Key::Created,
            Key::Choices,
            Key::Usage,
            Key::XGroq,
            Key::Cost,
            Key::Error,
        ]);
        Self { root, id, model, created, choices, usage, x_groq, cost, error }
    }

    fn choices(&self) -> impl Iterator<Item = Value<'a>> {
        self.choices.into_iter().flat_map(Value::items).filter(|choice| choice.kind() == Type::Object)
    }

    /// No choice and no id of its own: what some servers send behind `[DONE]`.
    fn has_no_choice(&self) -> bool {
        self.choices.is_none_or(|choices| !choices.is_truthy())
    }
}

/// What a chunk has to be like to add nothing to its stream but one more chunk, straight behind the one it is like, and
/// what it [reports](crate::chunk::shape::Template::reports).
#[derive(Clone, Default)]
pub struct Likeness {
    /// Its [number](crate::chunk::shape::Template::number).
    template: u64,
    /// The telling values of that chunk: where each ends in `values`.
    ends: Vec<usize>,
    values: Vec<u8>,
}

impl Likeness {
    /// Is this chunk like that one?
    #[inline(always)]
    #[must_use]
    pub fn is_like(&self, shaped: &Shaped<'_>) -> bool {
        if self.template != shaped.template.number() {
            return false;
        }
        let mut start = 0;
        let mut values = self.ends.iter().map(|&end| &self.values[std::mem::replace(&mut start, end)..end]);
        shaped.template.telling(shaped.text, shaped.spans).all(|value| values.next() == Some(value))
    }

    /// Are all chunks of this template like that one?
    #[must_use]
    pub fn is_like_all(&self, template: &Template) -> bool {
        self.template == template.number() && self.ends.is_empty()
    }

    /// The likeness of this chunk.
    pub fn set(likeness: &mut Option<Self>, shaped: &Shaped<'_>) {
        let one = likeness.get_or_insert_default();
        one.template = shaped.template.number();
        one.ends.clear();
        one.values.clear();
        for value in shaped.template.telling(shaped.text, shaped.spans) {
            one.values.extend_from_slice(value);
            one.ends.push(one.values.len());
        }
    }
}

/// A sink that sorts chunks into streams. (A clone can be finished while the other goes on.)
#[derive(Clone, Default)]
pub struct Tracker {
    nodes: Vec<Node>,
    rows: Vec<Row>,
    models: Categories,
    finish_reasons: Categories,
    damages: Vec<Damage>,
    /// Rows that can still get chunks and have an id, by that.
    open: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// The open rows, with and without id.
    open_rows: Vec<usize>,
    /// The row of the last chunk, while it is open.
    current: Option<usize>,
    /// The row that the last `[DONE]` ended.
    ended: Option<usize>,
    /// Rows under another id that may be parts of a row, by that row.
    children: HashMap<usize, Vec<usize>>,
    /// The last chunk, while the next adds but itself to its row if it is like the last.
    last: Option<Likeness>,
    /// The row of the last chunk.
    last_row: usize,
    /// Running number of chunks, errors, damages and `[DONE]`s.
    seq: u64,
    /// Where the first event was lost, in case there is no stream.
    first_loss: Option<u64>,
    /// How many streams have begun.
    begun: u64,
    /// Rows are not asked for, so what chunks report is left where it is.
    numbers_only: bool,
    /// Rows that may have become final, where that is asked for.
    news: Option<Vec<usize>>,
    /// How many rows began in the source, or in the exchange.
    rows_here: usize,
    /// What is known of the exchange.
    here: exchange::Here,
    /// The exchanges that have begun and go on later.
    others: HashMap<u64, Box<exchange::Aside>>,
    /// The source is made of exchanges.
    has_exchanges: bool,
    /// Which file it is, of several one behind the other.
    source: u32,
}

impl Tracker {
    /// Ends all streams.
    #[must_use]
    pub fn finish(mut self) -> Streams {
        if self.rows_here == 0
            && !self.has_exchanges
            && let Some(offset) = self.first_loss
        {
            let mut row = Row::new(offset, 0);
            row.malformed = true;
            self.rows.push(row);
        }
        self.leave_all();
        let mut rows = self.rows;
        if rows.iter().any(|row| row.parent.is_some()) {
            rows = with_parts(rows);
        }
        if self.has_exchanges {
            // Those of exchanges that were read in pieces have begun in another order than they stand.
            rows.sort_by_key(|row| (row.source, row.offset));
        }
        Streams { rows, models: self.models, finish_reasons: self.finish_reasons, damages: self.damages }
    }

    /// How many streams have begun and not ended: no `[DONE]` yet, and choices that have not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let others = self.others.values().flat_map(|aside| &aside.open_rows);
        self.open_rows.iter().chain(others).filter(|&&row| !self.rows[row].has_finished()).count()
    }

    /// Takes a chunk that matched a shape.
    pub fn take_shaped(&mut self, shaped: &Shaped<'_>) {
        self.last = None;
        self.last_row = self.take_plain(shaped).unwrap_or_else(|| self.take(shaped.doc(), shaped.place));
    }

    fn begin(&mut self, offset: u64) -> usize {
        if self.open_rows.len() >= MAX_OPEN {
            self.close_silent_rows();
        }
        let row = self.rows.len();
        self.rows.push(Row { number: self.begun, source: self.source, ..Row::new(offset, self.seq) });
        if self.has_exchanges {
            self.here.rows.push(row);
        }
        self.rows_here += 1;
        self.begun += 1;
        self.open_rows.push(row);
        self.current = Some(row);
        row
    }

    #[cold]
    fn close_silent_rows(&mut self) {
        let mut by_silence = self.open_rows.clone();
        by_silence.sort_by_key(|&row| self.rows[row].last_seq);
        by_silence.truncate(MAX_OPEN / 2);
        for row in by_silence {
            self.close(row);
        }
    }

    fn close(&mut self, row: usize) {
        self.rows[row].open = false;
        self.open_rows.retain(|&other| other != row);
        if let Some(id) = &self.rows[row].id
            && let Ok(entry) = self.open.find_entry(self.hasher.hash_one(id), |&other| other == row)
        {
            entry.remove();
        }
        if self.current == Some(row) {
            self.current = None;
        }
        self.tell(row);
    }

    /// The open row with this id.
    fn open_row(&self, id: &[u8]) -> Option<usize> {
        self.open.find(self.hasher.hash_one(id), |&row| self.rows[row].id.as_deref() == Some(id)).copied()
    }

    /// Gives a row an id that no open row has.
    fn set_id(&mut self, row: usize, id: &[u8]) {
        self.rows[row].id = Some(id.into());
        let Self { open, rows, hasher, .. } = self;
        open.insert_unique(hasher.hash_one(id), row, |&row| {
            hasher.hash_one(rows[row].id.as_deref().unwrap_or_default())
        });
    }

    /// Takes `count` chunks that are alike (see [`Likeness`]), the first of which is this one.
    pub fn chunks(&mut self, doc: Doc<'_>, place: Place, count: u64) {
        let row = self.take(doc, place);
        if self.repeats(row) {
            self.repeat(row, count - 1);
            return;
        }
        for _ in 1..count {
            self.take(doc, place);
        }
    }

    /// Takes the usage that the last of such chunks reported, after them: see [`Template::last_report_counts`].
    pub fn last_usage(&mut self, doc: Doc<'_>, place: Place) {
        self.report(self.last_row, &Members::of(doc.root()), place);
    }

    /// Adds how much text the last chunk (or run of chunks) carries.
    pub fn add_written(&mut self, written: Written) {
        if let Some(row) = self.rows.get_mut(self.last_row) {
            row.written += written;
        }
    }

    /// Would the next chunk go to this row for sure, if it is like the last one, which did? (The current row has no parts
    /// under other ids: such a part becomes the current row, and is none any more once the first id comes again.)
    fn repeats(&self, row: usize) -> bool {
        debug_assert!(!self.children.contains_key(&row) || self.current != Some(row));
        self.current == Some(row)
    }

    #[inline]
    fn repeat(&mut self, row: usize, count: u64) {
        self.seq += count;
        let row = &mut self.rows[row];
        row.chunks += count;
        row.last_seq = self.seq;
    }

    /// Adds a chunk to its row, and gives that.
    fn take(&mut self, doc: Doc<'_>, place: Place) -> usize {
        self.last = None;
        self.seq += 1;
        let members = Members::of(doc.root());
        let row = self.row_of(&members, place.offset);
        if self.rows[row].open {
            self.current = Some(row);
        }
        self.add(row, &members);
        if !self.numbers_only && doc.template().is_none_or(|template| template.reports()) {
            self.report(row, &members, place);
        }
        self.last_row = row;
        row
    }

    /// Takes a chunk that does no more than go on with the current row, if that is clear at a glance, and gives the row.
    #[inline]
    fn take_plain(&mut self, shaped: &Shaped<'_>) -> Option<usize> {
        let (plain, current) = (shaped.template.plain()?, self.current?);
        let (doc, row) = (shaped.doc(), &mut self.rows[current]);
        let id = doc.value(plain.id);
        let goes_on = row.model >= 0 && row.created != 0 && row.id.as_deref() == Some(id.text()) && !id.is_escaped();
        if !goes_on {
            return None;
        }
        for index in &plain.indexes {
            row.seen |= 1 << choice_index(index.map(|number| doc.value(number)));
        }
        self.repeat(current, 1);
        Some(current)
    }

    /// The row to which a chunk belongs.
    ///
    /// - A chunk without an id (Azure's first one has `""`) belongs to the row of the chunk before it.
    /// - An id that was seen in an open row belongs there: that tells interleaved streams apart.
    /// - A new id begins a new row; but while the last row has not finished, and the chunk does not begin a message
    ///   (no role), the server may just have changed the id inside a stream. Then the new row is a part of the last
    ///   one, until the old id comes again and shows that they were two.
    /// - A chunk behind `[DONE]` with no choice, and with the same id or none, belongs to what `[DONE]` ended.
    #[inline]
    fn row_of(&mut self, members: &Members<'_>, offset: u64) -> usize {
        let id = members.id.and_then(Value::non_empty);
        let Some(id) = id else {
            if let Some(current) = self.current {
                return current;
            }
            let nameless = members.id.is_none_or(Value::is_null);
            return match self.ended {
                Some(ended) if nameless && members.has_no_choice() => ended,
                _ => self.begin(offset),
            };
        };
        if let Some(current) = self.current
            && self.rows[current].id.as_deref() == Some(&*id)
        {
            return current;
        }
        self.row_of_id(&id, members, offset)
    }

    fn row_of_id(&mut self, id: &[u8], members: &Members<'_>, offset: u64) -> usize {
        if let Some(row) = self.open_row(id) {
            for part in self.children.remove(&row).unwrap_or_default() {
                self.rows[part].parent = None;
                if self.numbers_only {
                    self.renumber(part);
                }
                self.tell(part);
            }
            return row;
        }
        if let Some(ended) = self.ended
            && members.has_no_choice()
            && self.rows[ended].id.as_deref() == Some(id)
        {
            return ended;
        }
        let mut parent = None;
        if let Some(current) = self.current {
            let row = &self.rows[current];
            if !row.has_finished() {
                if row.id.is_none() {
                    self.set_id(current, id);
                    return current;
                }
                if !row.error && !begins_a_message(members) {
                    parent = Some(current);
                }
            }
        }
        let row = self.begin(offset);
        self.set_id(row, id);
        if let Some(parent) = parent {
            self.rows[row].parent = Some(parent);
            self.rows[row].number = self.rows[parent].number;
            self.begun -= 1;
            self.children.entry(parent).or_default().push(row);
        }
        row
    }

    /// The row that `[DONE]` ends. It carries no id, so in an interleaved log it belongs to the stream that finished
    /// last and has waited longest, if that is not long ago.
    fn row_to_end(&self) -> Option<usize> {
        let current = self.current;
        if let Some(row) = current.map(|current| &self.rows[current])
            && (row.has_finished() || row.error)
        {
            return current;
        }
        let unfinished = self.open_rows.iter().filter(|&&row| !self.rows[row].has_finished()).count() as u64;
        let waiting =
            self.open_rows.iter().copied().filter(|&row| {
                self.rows[row].has_finished() && self.seq - self.rows[row].last_seq <= 2 * unfinished + 2
            });
        waiting.min_by_key(|&row| self.rows[row].last_seq).or(current)
    }

    fn add(&mut self, row: usize, members: &Members<'_>) {
        let row = &mut self.rows[row];
        row.last_seq = self.seq;
        row.chunks += 1;
        if row.model < 0
            && let Some(model) = members.model.and_then(Value::non_empty)
        {
            row.model = self.models.code(&model);
        }
        if row.created == 0 {
            row.created = members.created.and_then(Value::integer).unwrap_or(0);
        }
        if members.error.is_some_and(Value::is_truthy) {
            row.error = true;
        }
        for choice in members.choices() {
            let [index, finish_reason] = choice.get_all([Key::Index, Key::FinishReason]);
            let index = choice_index(index);
            row.seen |= 1 << index;
            if let Some(reason) = finish_reason.and_then(Value::non_empty) {
                row.finished |= 1 << index;
                if index <= row.finish_index {
                    row.finish_index = index;
                    row.finish_reason = self.finish_reasons.code(&reason);
                }
            }
        }
    }

    /// Takes what a chunk says of usage, cost and times.
    fn report(&mut self, row: usize, members: &Members<'_>, place: Place) {
        let row = &mut self.rows[row];
        if let Some(usage) = members.usage
            && !usage.is_null()
            && usage.kind() != Type::Object
        {
            let reason = format!("usage is a JSON {}", usage.kind_name());
            self.damages.push(Damage { kind: Kind::WrongType, place, position: None, reason });
        }
        let reported = |usage: &Value<'_>| usage.kind() == Type::Object && usage.is_truthy();
        let usage = members.usage.filter(reported);
        let usage = usage.or_else(|| members.x_groq.and_then(|extra| extra.get(Key::Usage)).filter(reported));
        let usage =
            usage.or_else(|| members.choices().filter_map(|choice| choice.get(Key::Usage).filter(reported)).last());
        if let Some(usage) = usage {
            let (raw, at) = row.usage.get_or_insert_default();
            raw.clear();
            raw.extend_from_slice(usage.raw());
            *at = place;
            row.usage_seq = self.seq;
        }
        if let Some(cost) = members.cost.and_then(cost_beside_usage) {
            row.cost = cost;
        }
        row.times = Times::beside_usage(members.root).or(row.times);
    }
}

/// Streams whose parts under other ids are rows of their own in, whole ones out.
fn with_parts(rows: Vec<Row>) -> Vec<Row> {
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    // A part begins after the stream it belongs to, so from the back each finds its stream still there.
    for number in (0..rows.len()).rev() {
        if let Some(parent) = rows[number].as_ref().and_then(|row| row.parent)
            && let Some(part) = rows[number].take()
            && let Some(stream) = &mut rows[parent]
        {
            stream.absorb(part);
        }
    }
    rows.into_iter().flatten().collect()
}

/// The number of a choice's bit.
#[inline]
fn choice_index(sent: Option<Value<'_>>) -> u64 {
    sent.and_then(Value::integer).and_then(|index| u64::try_from(index).ok()).unwrap_or(0).min(63)
}

/// Does the chunk say who speaks?
fn begins_a_message(members: &Members<'_>) -> bool {
    members.choices.into_iter().flat_map(Value::items).any(|choice| {
        choice.get(Key::Delta).and_then(|delta| delta.get(Key::Role)).and_then(Value::non_empty).is_some()
    })
}

impl Sink for Tracker {
    fn nodes(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    fn chunk(&mut self, found: Found<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        self.take(Doc::new(found.text, &nodes), found.place);
        self.nodes = nodes;
        self.nodes.clear();
        // What one huge event grew goes back; the usual size stays.
        self.nodes.shrink_to(USUAL_NODES);
    }

    #[inline]
    fn shaped(&mut self, shaped: Shaped<'_>) {
        if let Some(last) = &self.last
            && last.is_like(&shaped)
        {
            self.repeated(1, shaped);
            return;
        }
        let mut last = self.last.take();
        self.take_shaped(&shaped);
        if self.repeats(self.last_row) {
            Likeness::set(&mut last, &shaped);
            self.last = last;
        }
    }

    fn counts(&self, template: &Template) -> bool {
        template.last_report_counts() && self.last.as_ref().is_some_and(|last| last.is_like_all(template))
    }

    #[inline]
    fn repeated(&mut self, count: u64, last: Shaped<'_>) {
        self.repeat(self.last_row, count);
        if last.template.reports() {
            self.report(self.last_row, &Members::of(last.doc().root()), last.place);
        }
    }

    fn done(&mut self, place: Place) {
        self.last = None;
        self.seq += 1;
        if let Some(row) = self.row_to_end() {
            self.rows[row].done = true;
            self.close(row);
            if let Some(before) = self.ended.replace(row) {
                self.tell(before);
            }
        } else if self.rows_here == 0 {
            let row = self.begin(place.offset);
            self.rows[row].done = true;
            self.close(row);
        }
    }

    fn completion(&mut self, found: Found<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        self.take_completion(Doc::new(found.text, &nodes), found.place);
        self.nodes = nodes;
        self.nodes.clear();
    }

    fn begin_exchange(&mut self, exchange: Exchange<'_>) {
        self.enter(&exchange);
    }

    fn go_back(&mut self, number: u64) {
        self.switch(number);
    }

    fn keep(&mut self, kept: &[Option<Vec<u8>>]) {
        self.keep_of_exchange(kept);
    }

    fn time(&mut self, time: Option<f64>) {
        self.here.began = self.here.began.or(time);
    }

    fn content_at(&mut self, time: f64) {
        if let Some(row) = self.rows.get_mut(self.last_row) {
            row.first_content.get_or_insert(time);
            row.last_content = Some(time);
        }
    }

    fn end_exchange(&mut self) {
        self.leave();
    }

    fn next_source(&mut self) {
        self.source += 1;
    }

    fn outer_damage(&mut self, damage: &Damage) {
        if self.current.is_some() || self.rows_here == 0 {
            self.damage(damage);
        }
    }

    fn stray_damage(&mut self, _: &Damage) {
        self.has_exchanges = true;
    }

    fn server_error(&mut self, place: Place, _: Body<'_>) {
        self.last = None;
        self.seq += 1;
        self.nodes.clear();
        let row = match self.current {
            Some(current) if !self.rows[current].error => current,
            _ => self.begin(place.offset),
        };
        self.rows[row].error = true;
        self.rows[row].last_seq = self.seq;
    }

    fn damage(&mut self, damage: &Damage) {
        if !damage.kind.is_loss() {
            return;
        }
        self.last = None;
        self.seq += 1;
        self.first_loss.get_or_insert(damage.place.offset);
        if matches!(damage.kind, Kind::NotAChunk | Kind::NotAStream | Kind::WrongFormat) {
            return;
        }
        let row = self.current.unwrap_or_else(|| self.begin(damage.place.offset));
        if damage.kind == Kind::Truncated {
            self.rows[row].truncated = true;
        } else {
            self.rows[row].malformed = true;
        }
    }
}
