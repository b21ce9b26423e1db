//! Integers as text, without an allocation.

/// A number in decimal.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    /// Right-aligned.
    bytes: [u8; Self::LONGEST],
    start: u8,
}

impl Digits {
    /// Of the smallest `i64`, with its sign.
    const LONGEST: usize = 20;

    #[inline]
    pub fn of(n: i64) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let mut start = bytes.len();
        let mut rest = n.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start: start as u8 }
    }
}

impl core::ops::Deref for Digits {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}
