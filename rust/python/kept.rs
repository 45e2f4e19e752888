//! The last object of each class that was made: what it had, so that the next can begin as a copy of it, and whether it
//! is worth keeping.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};

use crate::chunk::{Key, Type};

/// What the last object of a class had.
pub(super) struct Last {
    pub is_checked: bool,
    pub members: Vec<Member>,
    /// The text of its keys and scalars.
    pub text: Vec<u8>,
    pub dict: Py<PyDict>,
    pub fields_set: Py<PySet>,
    pub extra: Py<PyDict>,
    /// The fields that were not sent, of which each instance has an object of its own.
    pub fresh: Vec<usize>,
}

/// A member of the last object.
pub(super) struct Member {
    pub key: Key,
    /// Where the key ends in the text, and the value.
    pub key_end: usize,
    pub value_end: usize,
    pub kind: Type,
    /// Is the value the same object in the next one, if its bytes are the same?
    pub is_constant: bool,
    /// The field's number; None for an extra.
    pub field: Option<usize>,
}

/// The last object of a class, if there is one, and whether it is worth keeping.
#[derive(Default)]
pub(super) struct Kept {
    pub last: Option<Box<Last>>,
    pub rating: Rating,
}

/// How like the last object its successors are: those of another stream have another id, and it is time for another last
/// one when that goes on.
#[derive(Clone, Copy, Default)]
pub(super) struct Rating {
    /// How many scalars changed where fewest did; None if there was no successor.
    usual: Option<u32>,
    /// In so many in a row more did than that, or not.
    more: u32,
    calm: u32,
    /// In how many they may: the more, the more often that was so, for streams may come in turns.
    patience: u32,
}

impl Rating {
    const LONGEST: u32 = 64;

    /// Of another last object.
    pub fn anew(self) -> Self {
        Self { patience: self.patience, ..Self::default() }
    }

    /// Takes note of a successor in which so many scalars changed; true if another last object is due.
    #[inline]
    pub fn rate(&mut self, changed: u32) -> bool {
        if self.usual.is_none_or(|usual| changed <= usual) {
            (self.usual, self.more, self.calm) = (Some(changed), 0, self.calm + 1);
            if self.calm == Self::LONGEST {
                (self.calm, self.patience) = (0, self.patience / 2);
            }
            return false;
        }
        (self.more, self.calm) = (self.more + 1, 0);
        if self.more <= self.patience {
            return false;
        }
        self.patience = (2 * self.patience + 1).min(Self::LONGEST);
        true
    }
}
