//! Paths: `response.body` in, the names that lead to a member out.

use std::fmt;

/// The names of a member and of what it is in, from the outside: `response.body`. A dot in a name is written `\.`, and
/// digits index arrays. A path may lead through a string that holds JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    names: Vec<Box<[u8]>>,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path names a member, such as response.body; this one is empty".to_owned());
        }
        let (mut names, mut name) = (Vec::new(), Vec::new());
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => names.push(std::mem::take(&mut name).into()),
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'.' | b'\\')) => name.push(escaped),
                    _ => return Err(format!("{text:?} is no path: behind \\ comes . or \\")),
                },
                byte => name.push(byte),
            }
        }
        names.push(name.into());
        Ok(Self { names })
    }

    /// That of these names.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[Box<[u8]>] {
        &self.names
    }

    /// The path of another member of the same object.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        let mut path = self.clone();
        path.names.pop();
        path.names.push(name.as_bytes().into());
        path
    }

    /// Does it end in these names, which are given as a path?
    pub(super) fn ends_with(&self, names: &str) -> bool {
        let mut own = self.names.iter().rev();
        names.rsplit('.').all(|name| own.next().is_some_and(|own| **own == *name.as_bytes()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.names.iter().enumerate() {
            if number > 0 {
                out.write_str(".")?;
            }
            out.write_str(&String::from_utf8_lossy(name).replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_was_written_as() {
        for (text, names) in [
            ("body", &["body"][..]),
            ("response.body", &["response", "body"]),
            (r"a\.b.c\\.0", &["a.b", r"c\", "0"]),
            (".a", &["", "a"]),
        ] {
            let path = Path::parse(text).expect("a path");
            assert_eq!(path, Path::new(names.iter().map(|name| name.as_bytes())));
            assert_eq!(path.to_string(), text);
        }
        for wrong in ["", r"a\b", r"a\"] {
            assert!(Path::parse(wrong).is_err());
        }
        assert!(Path::parse("x.response.body").expect("a path").ends_with("response.body"));
        assert!(!Path::parse("body").expect("a path").ends_with("response.body"));
    }
}
