//! The usage room: streams in, columns of token counts out.
//!
//! The last usage object of a stream is read here, once, when the stream's row becomes final.

use crate::chunk::{self, Doc, Key, Value};
use crate::error::{Damage, Kind, Place};
use crate::reported::{Times, cost_in_usage, estimated_cost};
use crate::stream::{Categories, Streams};

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

    /// Codes of `from` become codes of their own, in the order of rows.
    fn recode(codes: impl Iterator<Item = i32>, from: &Categories) -> Self {
        let mut coded = Self::default();
        let mut renumbered = Vec::new();
        for code in codes {
            let Some(text) = from.text(code) else {
                coded.codes.push(-1);
                continue;
            };
            let code = code as usize;
            if renumbered.len() <= code {
                renumbered.resize(code + 1, -1);
            }
            if renumbered[code] < 0 {
                renumbered[code] = coded.categories.len() as i32;
                coded.categories.push(text.into());
            }
            coded.codes.push(renumbered[code]);
        }
        coded
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
    /// Seconds until the first token, as the server measured them, NaN where it sent none.
    pub time_to_first_token: Vec<f64>,
    /// Seconds from there to the last token, as the server measured them, NaN where it sent none.
    pub generation_time: Vec<f64>,
    /// The usage objects as they were sent, one behind the other; nothing where none was reported.
    pub usage: Vec<u8>,
    /// Where each of them ends.
    pub usage_end: Vec<i64>,
    /// Unix seconds, 0 where unknown.
    pub created: Vec<i64>,
    /// How many chunks.
    pub chunks: Vec<i64>,
    /// Where its first event stands.
    pub offset: Vec<i64>,
    /// Its id.
    pub id: Vec<Option<Box<[u8]>>>,
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
    /// Turns the rows into columns.
    #[must_use]
    pub fn new(streams: Streams) -> Self {
        let mut columns = Self { damages: streams.damages, ..Self::default() };
        columns.model = Coded::recode(streams.rows.iter().map(|row| row.model), &streams.models);
        columns.finish_reason =
            Coded::recode(streams.rows.iter().map(|row| row.finish_reason), &streams.finish_reasons);
        let mut nodes = Vec::new();
        for row in streams.rows {
            columns.status.push(Some(row.status().name().as_bytes()));
            columns.created.push(row.created);
            columns.chunks.push(row.chunks.try_into().unwrap_or(i64::MAX));
            columns.offset.push(row.offset.try_into().unwrap_or(i64::MAX));
            columns.id.push(row.id);
            nodes.clear();
            let place = row.usage.as_ref().map(|(_, place)| *place).unwrap_or_default();
            // The bytes are those of a value that was parsed before; nothing can be wrong with them.
            let usage = row.usage.as_ref().filter(|(raw, _)| chunk::parse(raw, raw.len(), 0, &mut nodes).is_ok());
            let usage = usage.map(|(raw, _)| Doc::new(raw, &nodes).root());
            columns.reported.push(u8::from(usage.is_some()));
            columns.push_tokens(usage, place);
            let cost = usage.and_then(cost_in_usage).or((!row.cost.is_nan()).then_some(row.cost));
            columns.cost.push(cost.or_else(|| usage.and_then(estimated_cost)).unwrap_or(f64::NAN));
            let times = usage.map_or(row.times, |usage| Times::in_usage(usage).or(row.times));
            columns.time_to_first_token.push(times.to_first_token.unwrap_or(f64::NAN));
            columns.generation_time.push(times.generation.unwrap_or(f64::NAN));
            columns.usage.extend_from_slice(usage.map_or(b"", Value::text));
            columns.usage_end.push(columns.usage.len() as i64);
        }
        columns
    }

    fn push_tokens(&mut self, usage: Option<Value<'_>>, place: Place) {
        let mut valid = 0;
        for (number, column) in TOKENS.iter().enumerate() {
            let found = usage.and_then(|usage| find(usage, column));
            let count = match found {
                Some((value, path)) => {
                    let count = value.integer();
                    if count.is_none() {
                        let path: Vec<&str> = path.iter().map(|key| key.name()).collect();
                        let found = value.kind_name();
                        let reason = format!("usage.{} is a JSON {found}, expected an integer", path.join("."));
                        self.damages.push(Damage { kind: Kind::WrongType, place, position: None, reason });
                    }
                    count
                }
                None => None,
            };
            valid |= u16::from(count.is_some()) << number;
            self.tokens[number].push(count.unwrap_or(0));
        }
        self.valid.push(valid);
    }
}

/// The first value of a column's paths that is there and not null.
fn find<'a>(usage: Value<'a>, column: &TokenColumn) -> Option<(Value<'a>, &'static [Key])> {
    column.paths.iter().find_map(|&path| {
        let value = path.iter().try_fold(usage, |value, &key| value.get(key))?;
        (!value.is_null()).then_some((value, path))
    })
}
