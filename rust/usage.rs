//! The usage room: streams in, columns of token counts out.
//!
//! The last usage object of a stream is read here, once, when the stream's row becomes final.

use crate::chunk::shape::{Shapes, Span, Template};
use crate::chunk::{self, Doc, Key, Node, Value, integer};
use crate::error::{Damage, Kind, Place};
use crate::reported::{Times, cost_in_usage, estimated_cost, tells_cost_or_times};
use crate::stream::{Categories, Row, Streams};

/// How many token columns there are.
pub const TOKEN_COLUMNS: usize = 10;

/// A token column: its name, and where its count stands in a usage object, the first place that has it.
pub struct TokenColumn {
    /// Its public name.
    pub name: &'static str,
    paths: &'static [&'static [Key]],
}

use Key::{CompletionTokensDetails as Completion, PromptTokensDetails as Prompt};

/// The token columns, in the order of the bits of [`Columns::valid`].
pub const TOKENS: [TokenColumn; TOKEN_COLUMNS] = [
    TokenColumn { name: "prompt_tokens", paths: &[&[Key::PromptTokens]] },
    TokenColumn { name: "completion_tokens", paths: &[&[Key::CompletionTokens]] },
    TokenColumn { name: "total_tokens", paths: &[&[Key::TotalTokens]] },
    TokenColumn {
        name: "cached_tokens",
        paths: &[
            &[Prompt, Key::CachedTokens],
            &[Key::PromptCacheHitTokens], // DeepSeek
            &[Key::CacheReadInputTokens], // Anthropic's name: Databricks, Venice, Vercel
            &[Key::CachedTokens],         // Together
            &[Key::NumCachedTokens],      // Mistral
        ],
    },
    TokenColumn {
        name: "cache_write_tokens",
        paths: &[&[Prompt, Key::CacheWriteTokens], &[Key::CacheCreationInputTokens]],
    },
    TokenColumn { name: "reasoning_tokens", paths: &[&[Completion, Key::ReasoningTokens], &[Key::ReasoningTokens]] },
    TokenColumn { name: "audio_prompt_tokens", paths: &[&[Prompt, Key::AudioTokens]] },
    TokenColumn { name: "audio_completion_tokens", paths: &[&[Completion, Key::AudioTokens]] },
    TokenColumn { name: "accepted_prediction_tokens", paths: &[&[Completion, Key::AcceptedPredictionTokens]] },
    TokenColumn { name: "rejected_prediction_tokens", paths: &[&[Completion, Key::RejectedPredictionTokens]] },
];

/// Texts by code, -1 for none; the categories stand in the order of their first row.
#[derive(Default)]
pub struct Coded {
    /// One code a row.
    pub codes: Vec<i32>,
    /// The text of each code.
    pub categories: Vec<Box<[u8]>>,
}

impl Coded {
    fn push(&mut self, text: Option<&[u8]>) {
        let code = text.map_or(-1, |text| {
            let known = self.categories.iter().position(|category| **category == *text);
            known.unwrap_or_else(|| {
                self.categories.push(text.into());
                self.categories.len() - 1
            }) as i32
        });
        self.codes.push(code);
    }

    /// More rows, whose codes are those of `from`.
    fn extend(&mut self, codes: impl Iterator<Item = i32>, from: &Categories) {
        self.renumber(codes, |code| from.text(code));
    }

    fn append(&mut self, rows: &Self) {
        self.renumber(rows.codes.iter().copied(), |code| {
            rows.categories.get(usize::try_from(code).ok()?).map(|text| &**text)
        });
    }

    /// Codes of others become codes of its own, in the order of rows.
    fn renumber<'a>(&mut self, codes: impl Iterator<Item = i32>, text: impl Fn(i32) -> Option<&'a [u8]>) {
        let mut renumbered = Vec::new();
        for code in codes {
            let Some(text) = text(code) else {
                self.codes.push(-1);
                continue;
            };
            let code = code as usize;
            if renumbered.len() <= code {
                renumbered.resize(code + 1, -1);
            }
            if renumbered[code] < 0 {
                self.push(Some(text));
                renumbered[code] = self.codes.pop().unwrap_or(-1);
            }
            self.codes.push(renumbered[code]);
        }
    }
}

/// Bytes of each row, one behind the other; a row that has none has nothing.
#[derive(Default)]
pub struct Pieces {
    /// Those of all rows.
    pub bytes: Vec<u8>,
    /// Where each row's end.
    pub ends: Vec<i64>,
}

impl Pieces {
    /// Makes room for pieces of such lengths.
    fn reserve(&mut self, lengths: impl ExactSizeIterator<Item = usize>) {
        self.ends.reserve(lengths.len());
        self.bytes.reserve(lengths.sum());
    }

    fn push(&mut self, piece: Option<&[u8]>) {
        self.bytes.extend_from_slice(piece.unwrap_or_default());
        self.ends.push(self.bytes.len() as i64);
    }

    fn append(&mut self, rows: &Self) {
        let start = self.bytes.len() as i64;
        self.bytes.extend_from_slice(&rows.bytes);
        self.ends.extend(rows.ends.iter().map(|end| start + end));
    }

    /// The bytes of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        let piece = &self.bytes[start as usize..self.ends[row] as usize];
        (!piece.is_empty()).then_some(piece)
    }
}

/// One row for each stream of a source, as columns.
#[derive(Default)]
pub struct Columns {
    /// The token columns, in the order of [`TOKENS`]; 0 where nothing was reported.
    pub tokens: [Vec<i64>; TOKEN_COLUMNS],
    /// Which token cells were reported: bit `i` is column `i`.
    pub valid: Vec<u16>,
    /// Did the server report usage?
    pub reported: Vec<u8>,
    /// The server's own cost, NaN where it sent none.
    pub cost: Vec<f64>,
    /// Deltas that carry text, if that was [measured](crate::stream::Measured); else 0.
    pub content_deltas: Vec<i64>,
    /// The bytes of that text, in UTF-8.
    pub text_bytes: Vec<i64>,
    /// Seconds until the first token, as the server measured them, NaN where it sent none.
    pub time_to_first_token: Vec<f64>,
    /// Seconds from there to the last token, as the server measured them, NaN where it sent none.
    pub generation_time: Vec<f64>,
    /// Were times measured from the log, since the server told none?
    pub measured: Vec<u8>,
    /// What is kept of the exchange, a column for each member: JSON as sent; nothing where there is none, or null.
    pub kept: Vec<Pieces>,
    /// The usage objects as they were sent.
    pub usage: Pieces,
    /// Unix seconds, 0 where unknown.
    pub created: Vec<i64>,
    /// How many chunks.
    pub chunks: Vec<i64>,
    /// Where its first event stands.
    pub offset: Vec<i64>,
    /// Its id.
    pub id: Pieces,
    /// Its model.
    pub model: Coded,
    /// Its finish reason.
    pub finish_reason: Coded,
    /// How it went.
    pub status: Coded,
    /// Values that their columns cannot hold.
    pub damages: Vec<Damage>,
}

impl Columns {
    /// Turns the rows into columns; usage objects match the shapes of others, or not if not `shapes`. So many members of
    /// exchanges are kept.
    #[must_use]
    pub fn new(streams: Streams, shapes: bool, kept: usize) -> Self {
        let mut columns = Self::without_rows(kept);
        columns.extend(streams, &mut Objects::new(shapes));
        columns
    }

    /// No rows, and columns for so many members of exchanges.
    #[must_use]
    pub fn without_rows(kept: usize) -> Self {
        let mut columns = Self::default();
        columns.kept.resize_with(kept, Pieces::default);
        columns
    }

    /// More rows, those of another source.
    pub fn extend(&mut self, streams: Streams, objects: &mut Objects) {
        let columns = self;
        columns.reserve(&streams.rows);
        columns.damages.extend(streams.damages);
        columns.model.extend(streams.rows.iter().map(|row| row.model), &streams.models);
        columns.finish_reason.extend(streams.rows.iter().map(|row| row.finish_reason), &streams.finish_reasons);
        for row in &streams.rows {
            columns.status.push(Some(row.status().name().as_bytes()));
            columns.created.push(row.created);
            columns.chunks.push(row.chunks.try_into().unwrap_or(i64::MAX));
            columns.offset.push(row.offset.try_into().unwrap_or(i64::MAX));
            columns.content_deltas.push(row.written.deltas.try_into().unwrap_or(i64::MAX));
            columns.text_bytes.push(row.written.bytes.try_into().unwrap_or(i64::MAX));
            columns.id.push(row.id.as_deref());
            let (raw, place) = row.usage.as_ref().map_or((&b""[..], Place::default()), |(raw, place)| (raw, *place));
            let usage = objects.read(raw);
            columns.reported.push(u8::from(usage.is_some()));
            columns.push_tokens(usage, place);
            let told = usage.filter(|usage| usage.plan.tells_more).map(|usage| usage.object);
            let cost = told.and_then(cost_in_usage).or((!row.cost.is_nan()).then_some(row.cost));
            columns.cost.push(cost.or_else(|| told.and_then(estimated_cost)).unwrap_or(f64::NAN));
            let times = told.map_or(row.times, |usage| Times::in_usage(usage).or(row.times));
            let seen = row.first_content.zip(row.last_content);
            let generation = seen.map(|(first, last)| last - first).filter(|seconds| *seconds >= 0.0);
            let to_first = row.first_content.zip(row.began).map(|(first, began)| first - began);
            let to_first = to_first.filter(|seconds| *seconds >= 0.0);
            let measured = (times.generation.is_none() && generation.is_some())
                || (times.to_first_token.is_none() && to_first.is_some());
            columns.measured.push(u8::from(measured));
            columns.time_to_first_token.push(times.to_first_token.or(to_first).unwrap_or(f64::NAN));
            columns.generation_time.push(times.generation.or(generation).unwrap_or(f64::NAN));
            for (member, column) in columns.kept.iter_mut().enumerate() {
                let value = row.kept.as_ref().and_then(|kept| kept.get(member)?.as_deref());
                column.push(value.filter(|value| *value != b"null"));
            }
            columns.usage.push(usage.map(|_| raw));
        }
    }

    /// Makes room for so many more rows, so that no column moves while it grows.
    fn reserve(&mut self, rows: &[Row]) {
        let more = rows.len();
        for counts in &mut self.tokens {
            counts.reserve(more);
        }
        self.valid.reserve(more);
        for flags in [&mut self.reported, &mut self.measured] {
            flags.reserve(more);
        }
        for numbers in [&mut self.cost, &mut self.time_to_first_token, &mut self.generation_time] {
            numbers.reserve(more);
        }
        for counts in
            [&mut self.content_deltas, &mut self.text_bytes, &mut self.created, &mut self.chunks, &mut self.offset]
        {
            counts.reserve(more);
        }
        for codes in [&mut self.model, &mut self.finish_reason, &mut self.status] {
            codes.codes.reserve(more);
        }
        self.id.reserve(rows.iter().map(|row| row.id.as_ref().map_or(0, |id| id.len())));
        self.usage.reserve(rows.iter().map(|row| row.usage.as_ref().map_or(0, |(raw, _)| raw.len())));
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reported.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// More rows, of columns that were made elsewhere. Their damages stay there.
    pub fn append(&mut self, rows: &Self) {
        for (all, more) in self.tokens.iter_mut().zip(&rows.tokens) {
            all.extend_from_slice(more);
        }
        self.valid.extend_from_slice(&rows.valid);
        self.reported.extend_from_slice(&rows.reported);
        self.cost.extend_from_slice(&rows.cost);
        self.content_deltas.extend_from_slice(&rows.content_deltas);
        self.text_bytes.extend_from_slice(&rows.text_bytes);
        self.time_to_first_token.extend_from_slice(&rows.time_to_first_token);
        self.generation_time.extend_from_slice(&rows.generation_time);
        self.measured.extend_from_slice(&rows.measured);
        for (all, more) in self.kept.iter_mut().zip(&rows.kept) {
            all.append(more);
        }
        self.usage.append(&rows.usage);
        self.created.extend_from_slice(&rows.created);
        self.chunks.extend_from_slice(&rows.chunks);
        self.offset.extend_from_slice(&rows.offset);
        self.id.append(&rows.id);
        self.model.append(&rows.model);
        self.finish_reason.append(&rows.finish_reason);
        self.status.append(&rows.status);
    }

    fn push_tokens(&mut self, usage: Option<Usage<'_>>, place: Place) {
        let mut valid = 0;
        for (number, counts) in self.tokens.iter_mut().enumerate() {
            let count = usage.and_then(|usage| {
                let count = usage.count(number)?;
                if count.is_none() {
                    self.damages.push(usage.wrong(number, place));
                }
                count
            });
            valid |= u16::from(count.is_some()) << number;
            counts.push(count.unwrap_or(0));
        }
        self.valid.push(valid);
    }
}

/// A usage object, and where in it the columns find their values.
#[derive(Clone, Copy)]
struct Usage<'a> {
    object: Value<'a>,
    raw: &'a [u8],
    plan: &'a Plan,
    /// The template that it matched, and what fills its holes.
    shaped: Option<(&'a Template, &'a [Span])>,
}

impl Usage<'_> {
    /// The count of a token column; None if there is none, and None in that if it is no integer.
    #[inline]
    fn count(&self, column: usize) -> Option<Option<i64>> {
        match self.plan.cells[column] {
            Cell::Nothing => None,
            Cell::Count(count) => Some(count),
            Cell::Hole(hole, node) => {
                let digits = self.shaped.and_then(|(template, spans)| template.digits(hole, self.raw, spans));
                Some(match digits {
                    Some(digits) => integer(digits),
                    None => self.object.of_document(node).integer(),
                })
            }
        }
    }

    /// That it is no integer.
    #[cold]
    fn wrong(&self, column: usize, place: Place) -> Damage {
        let value = find(self.object, &TOKENS[column]).map_or(self.object, |(value, _)| value);
        let path: Vec<&str> = self.plan.paths[column].iter().map(|key| key.name()).collect();
        let reason = format!("usage.{} is a JSON {}, expected an integer", path.join("."), value.kind_name());
        Damage { kind: Kind::WrongType, place, position: None, reason }
    }
}

/// Reads usage objects, which are built like others as events are: most match the shape of one before.
pub struct Objects {
    shapes: Option<Shapes>,
    nodes: Vec<Node>,
    /// That of the last object which matched no shape.
    plan: Plan,
}

/// Where in a usage object, and in all that match the same template, the columns find their values.
#[derive(Default)]
struct Plan {
    cells: [Cell; TOKEN_COLUMNS],
    /// The path to each.
    paths: [&'static [Key]; TOKEN_COLUMNS],
    /// Does it tell a cost or times?
    tells_more: bool,
}

/// Where the value of a token column is.
#[derive(Clone, Copy, Default)]
enum Cell {
    /// There is none.
    #[default]
    Nothing,
    /// It is this, in all of the template; None if it is no integer.
    Count(Option<i64>),
    /// It fills a hole, which is this node.
    Hole(usize, usize),
}

impl Objects {
    /// They match the shapes of others, or not if not `shapes`.
    #[must_use]
    pub fn new(shapes: bool) -> Self {
        // The bytes are those of values that were parsed before: no number is too long.
        let shapes = shapes.then(|| Shapes::new(0));
        Self { shapes, nodes: Vec::new(), plan: Plan::default() }
    }

    /// A usage object; None if there is none.
    fn read<'a>(&'a mut self, raw: &'a [u8]) -> Option<Usage<'a>> {
        if raw.is_empty() {
            return None;
        }
        let ends = |end| (end == raw.len()).then_some(end);
        let matched = self.shapes.as_mut().and_then(|shapes| shapes.find(raw, 0, ends));
        if let Some(matched) = matched {
            let shapes = self.shapes.as_ref()?;
            let (template, spans) = (shapes.template(matched), shapes.spans());
            let object = Doc::shaped(raw, template, spans).root();
            // Where something stands, and whether that is null, belongs to the structure: a plan holds for all of a
            // template.
            let plan = template.attachment().get_or_init(|| Box::new(Plan::new(object, Some(template))));
            return Some(Usage { object, raw, plan: plan.downcast_ref()?, shaped: Some((template, spans)) });
        }
        self.nodes.clear();
        chunk::parse(raw, raw.len(), 0, &mut self.nodes).ok()?;
        if let Some(shapes) = &mut self.shapes {
            shapes.learn(raw, &self.nodes);
        }
        let object = Doc::new(raw, &self.nodes).root();
        self.plan = Plan::new(object, None);
        Some(Usage { object, raw, plan: &self.plan, shaped: None })
    }
}

impl Plan {
    fn new(usage: Value<'_>, template: Option<&Template>) -> Self {
        let mut plan = Self { tells_more: tells_cost_or_times(usage), ..Self::default() };
        for (number, column) in TOKENS.iter().enumerate() {
            if let Some((value, path)) = find(usage, column) {
                let hole = template.and_then(|template| template.hole(value.number()));
                plan.cells[number] =
                    hole.map_or_else(|| Cell::Count(value.integer()), |hole| Cell::Hole(hole, value.number()));
                plan.paths[number] = path;
            }
        }
        plan
    }
}

/// The first value of a column's paths that is there and not null.
fn find<'a>(usage: Value<'a>, column: &TokenColumn) -> Option<(Value<'a>, &'static [Key])> {
    column.paths.iter().find_map(|&path| {
        let value = path.iter().try_fold(usage, |value, &key| value.get(key))?;
        (!value.is_null()).then_some((value, path))
    })
}
