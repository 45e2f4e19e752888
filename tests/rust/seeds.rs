//! Seeds for the fuzzer: a strategy for orders in, files of such in the folder that `CHUNKWIRE_SEEDS` names out.

use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The same ones each time.
pub fn write(orders: &impl Strategy<Value = Vec<u8>>) {
    let folder = std::env::var_os("CHUNKWIRE_SEEDS").expect("CHUNKWIRE_SEEDS names a folder");
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for number in 0..600 {
        let seed = orders.new_tree(&mut runner).expect("a list of bytes").current();
        std::fs::write(Path::new(&folder).join(format!("seed-{number}")), seed).expect("a writable folder");
    }
}
