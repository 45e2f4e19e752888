//! Gzip files as tools write them: members one behind the other, and zeros behind the last (RFC 1952, 2.2; GNU gzip).

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Reads all members as one.
pub struct Members<R> {
    /// None once the end is reached.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// At the start of the first member.
    pub fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(block)?;
            if length > 0 || block.is_empty() {
                return Ok(length);
            }
            if let Some(finished) = self.member.take() {
                let mut reader = finished.into_inner();
                if skip_zeros(&mut reader)? {
                    self.member = Some(GzDecoder::new(reader));
                }
            }
        }
        Ok(0)
    }
}

/// Skips padding; true if something follows.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
        let more = zeros < buffer.len();
        reader.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}
