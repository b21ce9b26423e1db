//! LZF, by Marc Lehmann: pieces as they are, and copies of what came before.

use alloc::vec::Vec;

/// What was compressed, if it is so long.
pub(super) fn expanded(mut bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    /// Below this a control byte is followed by one more byte than it says.
    const PLAIN: u8 = 1 << 5;
    /// A copy's length that says that another byte adds to it.
    const LONG: usize = 7;
    let mut out = Vec::new();
    while let Some((&control, rest)) = bytes.split_first() {
        bytes = rest;
        if control < PLAIN {
            let (plain, rest) = bytes.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(plain);
            bytes = rest;
        } else {
            let mut next = || {
                let (&byte, rest) = bytes.split_first()?;
                bytes = rest;
                Some(usize::from(byte))
            };
            let mut copied = usize::from(control / PLAIN);
            if copied == LONG {
                copied += next()?;
            }
            let back = (usize::from(control % PLAIN) << 8 | next()?) + 1;
            let start = out.len().checked_sub(back)?;
            // It may overlap what it makes.
            for at in start..start + copied + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}
