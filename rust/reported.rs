//! The reported room: what servers say of a stream beside its token counts: what it cost, and how long it took.
//!
//! Each value is a number or nothing: what is no finite number is as if it had not been sent.

use crate::chunk::{self, Doc, Key, Type, Value};

/// A US dollar in xAI's ticks (docs.x.ai, "Cost Tracking").
const TICKS: f64 = 1e10;

fn finite(object: Value<'_>, key: Key) -> Option<f64> {
    number(object.get(key)?)
}

fn number(value: Value<'_>) -> Option<f64> {
    // (What is -0 is 0.)
    value.number_value().filter(|number| number.is_finite()).map(|number| number + 0.0)
}

/// A cost: a number, or an object with one as `total_cost` (Perplexity) or `usd` (Venice, Hyper).
fn cost(value: Value<'_>) -> Option<f64> {
    match value.kind() {
        Type::Object => [Key::TotalCost, Key::Usd].into_iter().find_map(|key| finite(value, key)),
        _ => number(value),
    }
}

/// The cost that a usage object tells: its `cost` (OpenRouter and others), or xAI's in ticks.
#[must_use]
pub fn cost_in_usage(usage: Value<'_>) -> Option<f64> {
    usage.get(Key::Cost).and_then(cost).or_else(|| finite(usage, Key::CostInUsdTicks).map(|ticks| ticks / TICKS))
}

/// Is there anything in a usage object of which cost and times are made?
#[must_use]
pub fn tells_cost_or_times(usage: Value<'_>) -> bool {
    let keys = [
        Key::Cost,
        Key::CostInUsdTicks,
        Key::EstimatedCost,
        Key::TotalPromptTimeSec,
        Key::TimeToFirstTokenMs,
        Key::TotalCompletionTimeSec,
        Key::PromptTime,
        Key::CompletionTime,
    ];
    keys.iter().any(|&key| usage.get(key).is_some())
}

/// What a server thinks that it will cost (OpenCode Zen), for want of anything better.
#[must_use]
pub fn estimated_cost(usage: Value<'_>) -> Option<f64> {
    finite(usage, Key::EstimatedCost)
}

/// A cost that stands beside usage, where it may also be a number in a string (OpenCode Zen).
#[must_use]
pub fn cost_beside_usage(value: Value<'_>) -> Option<f64> {
    if value.kind() != Type::String {
        return cost(value);
    }
    let text = value.bytes();
    let mut nodes = Vec::new();
    chunk::parse(&text, text.len(), 0, &mut nodes).ok()?;
    let number = Doc::new(&text, &nodes).root();
    let is_decimal = matches!(number.kind(), Type::Int | Type::Float) && number.text().len() == text.len();
    cost(number).filter(|_| is_decimal)
}

/// How long the server took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// From the request's arrival to the first token: waiting and reading the prompt.
    pub to_first_token: Option<f64>,
    /// From there to the last one.
    pub generation: Option<f64>,
}

impl Times {
    /// Those that a usage object tells: Groq's, mistral.rs's or GPUStack's.
    #[must_use]
    pub fn in_usage(usage: Value<'_>) -> Self {
        let times = Self {
            to_first_token: finite(usage, Key::TotalPromptTimeSec)
                .or_else(|| milliseconds(usage, Key::TimeToFirstTokenMs)),
            generation: finite(usage, Key::TotalCompletionTimeSec),
        };
        Self::by_phase(usage).or(times)
    }

    /// Those of a chunk that tells them beside usage: llama.cpp's `timings`, Cerebras's `time_info`, vLLM's `metrics` or
    /// the `sla_metrics` of servers behind Hugging Face.
    #[must_use]
    pub fn beside_usage(root: Value<'_>) -> Self {
        let [timings, time_info, metrics, sla] =
            root.get_all([Key::Timings, Key::TimeInfo, Key::Metrics, Key::SlaMetrics]);
        let of = |object: Option<Value<'_>>, first, rest| {
            object.map_or(Self::default(), |object| Self {
                to_first_token: milliseconds(object, first),
                generation: milliseconds(object, rest),
            })
        };
        let sla = sla.and_then(|sla| milliseconds(sla, Key::TtftMs));
        of(timings, Key::PromptMs, Key::PredictedMs)
            .or(time_info.map_or(Self::default(), Self::by_phase))
            .or(of(metrics, Key::TimeToFirstTokenMs, Key::GenerationTimeMs))
            .or(Self { to_first_token: sla, generation: None })
    }

    /// Groq's and Cerebras's way: the times of waiting, of reading the prompt and of writing, each for itself.
    fn by_phase(object: Value<'_>) -> Self {
        let queue = finite(object, Key::QueueTime).unwrap_or(0.0);
        Self {
            to_first_token: finite(object, Key::PromptTime)
                .map(|prompt| prompt + queue)
                .filter(|time| time.is_finite()),
            generation: finite(object, Key::CompletionTime),
        }
    }

    /// Each of the two that is not known, as `other` has it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            to_first_token: self.to_first_token.or(other.to_first_token),
            generation: self.generation.or(other.generation),
        }
    }
}

fn milliseconds(object: Value<'_>, key: Key) -> Option<f64> {
    finite(object, key).map(|time| time / 1000.0)
}
