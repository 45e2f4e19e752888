//! The keys that chunks are made of, each with a number: a key's bytes in, its [`Key`] out.
//!
//! The careful parser numbers every key once, so that looking up a field compares numbers instead of texts.

macro_rules! keys {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A key that chunkwire knows by number.
        #[allow(missing_docs)] // each is its own name
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Key { Unknown = 0, $($variant),* }

        const NAMES: &[&str] = &["", $($name),*];
        const KEYS: &[Key] = &[Key::Unknown, $(Key::$variant),*];
    };
}

keys! {
    Id = "id", Object = "object", Created = "created", Model = "model", Choices = "choices", Usage = "usage",
    SystemFingerprint = "system_fingerprint", ServiceTier = "service_tier", Error = "error", XGroq = "x_groq",
    Cost = "cost", Index = "index", Delta = "delta", FinishReason = "finish_reason", Logprobs = "logprobs",
    Role = "role", Content = "content", Refusal = "refusal", ToolCalls = "tool_calls",
    FunctionCall = "function_call", Type = "type", Function = "function", Name = "name", Arguments = "arguments",
    Token = "token", Logprob = "logprob", Bytes = "bytes", TopLogprobs = "top_logprobs",
    PromptTokens = "prompt_tokens", CompletionTokens = "completion_tokens", TotalTokens = "total_tokens",
    PromptTokensDetails = "prompt_tokens_details", CompletionTokensDetails = "completion_tokens_details",
    CachedTokens = "cached_tokens", CacheWriteTokens = "cache_write_tokens", AudioTokens = "audio_tokens",
    ReasoningTokens = "reasoning_tokens", AcceptedPredictionTokens = "accepted_prediction_tokens",
    RejectedPredictionTokens = "rejected_prediction_tokens", PromptCacheHitTokens = "prompt_cache_hit_tokens",
    TotalCost = "total_cost", Usd = "usd", CostInUsdTicks = "cost_in_usd_ticks", EstimatedCost = "estimated_cost",
    CacheReadInputTokens = "cache_read_input_tokens", CacheCreationInputTokens = "cache_creation_input_tokens",
    NumCachedTokens = "num_cached_tokens", Timings = "timings", PromptMs = "prompt_ms", PredictedMs = "predicted_ms",
    TimeInfo = "time_info", QueueTime = "queue_time", PromptTime = "prompt_time", CompletionTime = "completion_time",
    Metrics = "metrics", TimeToFirstTokenMs = "time_to_first_token_ms", GenerationTimeMs = "generation_time_ms",
    SlaMetrics = "sla_metrics", TtftMs = "ttft_ms", TotalPromptTimeSec = "total_prompt_time_sec",
    TotalCompletionTimeSec = "total_completion_time_sec",
}

/// How many numbers there are, with that of the unknown ones.
pub(crate) const KEY_COUNT: usize = NAMES.len();

/// How many slots the table has; the hash is the top bits of a product.
const SLOTS: usize = 256;
/// Found by search: with it no two keys share a slot (`build` proves it when the crate is compiled).
const MULTIPLIER: u64 = 0x8f16_1bfe_3dac_5db9;

#[derive(Clone, Copy)]
struct Slot {
    word: u64,
    key: Key,
    length: u8,
}

static TABLE: [Slot; SLOTS] = build();

const fn hash(word: u64, length: usize, multiplier: u64) -> usize {
    ((word ^ ((length as u64) << 56)).wrapping_mul(multiplier) >> 56) as usize
}

/// The first eight bytes of a name, zeros behind a shorter one.
const fn first_word(name: &[u8]) -> u64 {
    let mut word = 0;
    let mut at = 0;
    while at < name.len() && at < 8 {
        word |= (name[at] as u64) << (8 * at);
        at += 1;
    }
    word
}

const fn build() -> [Slot; SLOTS] {
    let mut table = [Slot { word: 0, key: Key::Unknown, length: 0 }; SLOTS];
    let mut number = 1;
    while number < NAMES.len() {
        let name = NAMES[number].as_bytes();
        let word = first_word(name);
        let slot = hash(word, name.len(), MULTIPLIER);
        // (Not in the tests: they find such keys, and the search is one of them.)
        assert!(cfg!(test) || table[slot].length == 0, "two keys share a slot: search for another MULTIPLIER");
        table[slot] = Slot { word, key: KEYS[number], length: name.len() as u8 };
        number += 1;
    }
    table
}

impl Key {
    /// The key with this number.
    #[inline]
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        KEYS.get(number as usize).copied().unwrap_or(Self::Unknown)
    }

    /// The key of this name, unescaped.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        Self::find(name, first_word(name))
    }

    /// The key that stands at `start..end` of `text`, which has no escapes.
    #[inline]
    pub(crate) fn at(text: &[u8], start: usize, end: usize) -> Self {
        let Some(name) = text.get(start..end) else { return Self::Unknown };
        match text.get(start..).and_then(<[u8]>::first_chunk::<8>) {
            Some(word) if name.len() < 8 => Self::find(name, u64::from_le_bytes(*word) & ((1 << (8 * name.len())) - 1)),
            Some(word) => Self::find(name, u64::from_le_bytes(*word)),
            None => Self::from_name(name),
        }
    }

    #[inline]
    fn find(name: &[u8], word: u64) -> Self {
        let slot = &TABLE[hash(word, name.len(), MULTIPLIER)];
        let same = slot.word == word
            && slot.length as usize == name.len()
            && (name.len() <= 8 || NAMES[slot.key as usize].as_bytes() == name);
        if same { slot.key } else { Self::Unknown }
    }

    /// The key's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_its_neighbours_are_not() {
        for (&key, &name) in KEYS.iter().zip(NAMES).skip(1) {
            assert_eq!(Key::from_name(name.as_bytes()), key);
            assert_eq!(Key::from_number(key as u8), key);
            assert_eq!(key.name(), name);
            let padded = format!("{name}\":  123456");
            assert_eq!(Key::at(padded.as_bytes(), 0, name.len()), key);
            assert_eq!(Key::at(name.as_bytes(), 0, name.len()), key);
            for wrong in
                [format!("{name}s"), name[..name.len() - 1].to_owned(), name.to_uppercase(), format!("x{name}")]
            {
                let expected = NAMES.iter().position(|&other| other == wrong).map_or(Key::Unknown, |at| KEYS[at]);
                assert_eq!(Key::from_name(wrong.as_bytes()), expected, "{wrong}");
            }
        }
        assert_eq!(Key::from_name(b""), Key::Unknown);
        assert_eq!(Key::from_name(b"\0\0"), Key::Unknown);
    }

    #[test]
    #[ignore = "a tool: prints a multiplier without collisions, for when a key is added"]
    fn search_for_a_multiplier() {
        let mut state = 0x243f_6a88_85a3_08d3u64;
        let found = (0..1_000_000).find_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let candidate = state | 1;
            let mut used = [false; SLOTS];
            NAMES[1..]
                .iter()
                .all(|name| {
                    let slot = hash(first_word(name.as_bytes()), name.len(), candidate);
                    !std::mem::replace(&mut used[slot], true)
                })
                .then_some(candidate)
        });
        panic!("MULTIPLIER: {:#x}", found.expect("no multiplier in a million tries"));
    }
}
