//! HyperLogLog: how many different elements were seen, in at most twelve kilobytes. The bytes are those that Redis keeps
//! in a string, so that values can be taken over, and the estimate is the same number.
//!
//! Sixteen bytes stand before the registers: `HYLL`, the encoding, three unused bytes, and the last estimate in eight
//! bytes, little end first, whose highest bit says that it is out of date. Registers are six bits each, low bits first
//! (dense), or runs of equal ones (sparse):
//!
//! | bits | a run of |
//! |---|---|
//! | `00llllll` | l + 1 zeros |
//! | `01llllll llllllll` | l + 1 zeros |
//! | `1vvvvvll` | l + 1 registers with value v + 1 |
//!
//! The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), section 4.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Bits of a hash that choose the register; the others are counted.
const INDEX_BITS: u32 = 14;
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash behind those.
const COUNTED_BITS: usize = 64 - INDEX_BITS as usize;
const REGISTER_BITS: usize = 6;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING: usize = 4;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const HEAD: usize = 16;
const DENSE_BYTES: usize = HEAD + REGISTERS * REGISTER_BITS / 8;
/// The byte with the bit that says that the estimate is out of date.
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;

/// Bytes beyond which a sparse value becomes dense: Redis's default of `hll-sparse-max-bytes`.
const SPARSE_BYTES: usize = 3000;
/// The largest value and the longest run of a run with a value.
const SPARSE_VALUE: u8 = 32;
const VALUE_RUN: usize = 4;
/// The longest run of zeros in one byte.
const ZERO_RUN: usize = 64;
/// Runs that are looked at from the one before a change on, for such as have become one.
const JOINED_RUNS: usize = 5;

const SEED: u64 = 0xadc8_3b19;

/// The runs of a sparse value do not add up to its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch(Vec<u8>);

/// The highest counts of many values together, a byte each.
#[derive(Clone, Debug)]
pub struct Union(Box<[u8]>);

/// Neighbouring registers with the same value.
#[derive(Clone, Copy, Debug)]
struct Run {
    value: u8,
    len: usize,
    /// Bytes that it takes.
    size: usize,
}

impl Run {
    /// The one at the beginning of what is left. A long run whose second byte is missing has a zero there.
    fn first(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        Some(match first >> 6 {
            0 => Self { value: 0, len: usize::from(first) + 1, size: 1 },
            1 => {
                let low = rest.first().copied().unwrap_or_default();
                Self { value: 0, len: (usize::from(first & 0x3f) << 8 | usize::from(low)) + 1, size: 2 }
            }
            _ => Self { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, size: 1 },
        })
    }

    fn push(value: u8, len: usize, out: &mut Vec<u8>) {
        match len.checked_sub(1) {
            None => {}
            Some(less) if value > 0 => out.push(0x80 | (value - 1) << 2 | less as u8),
            Some(less) if len <= ZERO_RUN => out.push(less as u8),
            Some(less) => out.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]),
        }
    }
}

fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Run> {
    core::iter::from_fn(move || {
        let run = Run::first(bytes)?;
        bytes = bytes.get(run.size..).unwrap_or_default();
        Some(run)
    })
}

/// The register that an element belongs to, and its count there.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur(element);
    let counted = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    (hash as usize % REGISTERS, counted.trailing_zeros() as u8 + 1)
}

/// MurmurHash64A by Austin Appleby.
fn murmur(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SHIFT: u32 = 47;
    let mixed = |hash: u64| hash ^ hash >> SHIFT;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = mixed(u64::from_le_bytes(*word).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    mixed(mixed(hash).wrapping_mul(FACTOR))
}

impl Default for Sketch {
    /// A sparse one of zeros.
    fn default() -> Self {
        let mut bytes = vec![0; HEAD];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING] = SPARSE;
        Run::push(0, REGISTERS, &mut bytes);
        Self(bytes)
    }
}

impl Sketch {
    /// `None` if these bytes are none. The runs of a sparse one may be wrong all the same.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let fits = bytes.len() >= HEAD && bytes.starts_with(MAGIC);
        let is_one = fits && (bytes[ENCODING] == SPARSE || bytes[ENCODING] == DENSE && bytes.len() == DENSE_BYTES);
        is_one.then(|| Self(bytes.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_dense(&self) -> bool {
        self.0[ENCODING] == DENSE
    }

    /// Whether that changed something.
    pub fn add(&mut self, element: &[u8]) -> Result<bool, Corrupted> {
        let (index, count) = place(element);
        self.raise(index, count)
    }

    /// Raises all registers to those of a union.
    pub fn add_union(&mut self, union: &Union) -> Result<(), Corrupted> {
        for (index, count) in union.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.raise(index, *count)?;
        }
        Ok(())
    }

    /// The estimate in it is out of date.
    pub fn forget_estimate(&mut self) {
        self.0[STALE_AT] |= STALE;
    }

    /// Gives a register this count, if it is less; whether it was.
    fn raise(&mut self, index: usize, count: u8) -> Result<bool, Corrupted> {
        if self.is_dense() { Ok(self.raise_dense(index, count)) } else { self.raise_sparse(index, count) }
    }

    fn raise_dense(&mut self, index: usize, count: u8) -> bool {
        let (at, shift) = dense_place(index);
        let behind = self.0.get(at + 1).copied();
        let both = u16::from_le_bytes([self.0[at], behind.unwrap_or_default()]);
        let mask = 0x3f << shift;
        let is_higher = both & mask < u16::from(count) << shift;
        if is_higher {
            let [low, high] = (both & !mask | u16::from(count) << shift).to_le_bytes();
            self.0[at] = low;
            if let Some(behind) = self.0.get_mut(at + 1) {
                *behind = high;
            }
        }
        is_higher
    }

    /// As Redis does it, run by run, so that the bytes are the same whatever the order in which elements came.
    fn raise_sparse(&mut self, index: usize, count: u8) -> Result<bool, Corrupted> {
        if count > SPARSE_VALUE {
            self.make_dense()?;
            return Ok(self.raise_dense(index, count));
        }
        let (mut before, mut at, mut first) = (None, HEAD, 0);
        let run = loop {
            let run = Run::first(self.0.get(at..).unwrap_or_default()).ok_or(Corrupted)?;
            if index < first + run.len {
                break run;
            }
            before = Some(at);
            at += run.size;
            first += run.len;
        };
        if run.value >= count {
            return Ok(false);
        }
        let mut split = Vec::new();
        Run::push(run.value, index - first, &mut split);
        Run::push(count, 1, &mut split);
        Run::push(run.value, first + run.len - 1 - index, &mut split);
        if split.len() > run.size && self.0.len() + split.len() - run.size > SPARSE_BYTES {
            self.make_dense()?;
            return Ok(self.raise_dense(index, count));
        }
        let end = (at + run.size).min(self.0.len());
        self.0.splice(at..end, split);
        self.join(before.unwrap_or(HEAD));
        Ok(true)
    }

    /// Makes one of neighbouring runs with the same value, as far as one holds them.
    fn join(&mut self, mut at: usize) {
        for _ in 0..JOINED_RUNS {
            let Some(run) = Run::first(&self.0[at..]) else { return };
            let next = self.0.get(at + run.size..).and_then(Run::first);
            match next {
                Some(next) if run.value > 0 && next.value == run.value && run.len + next.len <= VALUE_RUN => {
                    let mut joined = Vec::new();
                    Run::push(run.value, run.len + next.len, &mut joined);
                    self.0.splice(at..at + 2, joined);
                }
                Some(_) => at += run.size,
                None => return,
            }
        }
    }

    /// Whether it was sparse.
    pub fn make_dense(&mut self) -> Result<bool, Corrupted> {
        if self.is_dense() {
            return Ok(false);
        }
        let mut union = Union::default();
        union.add(self)?;
        self.0.truncate(HEAD);
        self.0[ENCODING] = DENSE;
        self.0.resize(DENSE_BYTES, 0);
        for (index, count) in union.0.iter().enumerate() {
            self.raise_dense(index, *count);
        }
        Ok(true)
    }

    /// How many elements it has probably seen.
    pub fn estimate(&self) -> Result<u64, Corrupted> {
        if self.0[STALE_AT] & STALE == 0
            && let Some(known) = self.0[..HEAD].last_chunk()
        {
            return Ok(u64::from_le_bytes(*known));
        }
        let mut union = Union::default();
        union.add(self)?;
        Ok(union.estimate())
    }

    /// The runs of a sparse one as text, as `PFDEBUG DECODE` shows them.
    pub fn decoded(&self) -> alloc::string::String {
        let shown = runs(&self.0[HEAD..]).map(|run| match run {
            Run { value: 0, len, size: 1 } => alloc::format!("z:{len}"),
            Run { value: 0, len, .. } => alloc::format!("Z:{len}"),
            Run { value, len, .. } => alloc::format!("v:{value},{len}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

/// Where a register begins: its byte and bit.
fn dense_place(index: usize) -> (usize, usize) {
    let bit = index * REGISTER_BITS;
    (HEAD + bit / 8, bit % 8)
}

impl Default for Union {
    fn default() -> Self {
        Self(vec![0; REGISTERS].into())
    }
}

impl Union {
    pub fn add(&mut self, sketch: &Sketch) -> Result<(), Corrupted> {
        let bytes = &sketch.0;
        if sketch.is_dense() {
            for (index, highest) in self.0.iter_mut().enumerate() {
                let (at, shift) = dense_place(index);
                let both = [bytes[at], bytes.get(at + 1).copied().unwrap_or_default()];
                *highest = (*highest).max((u16::from_le_bytes(both) >> shift & 0x3f) as u8);
            }
            return Ok(());
        }
        let mut rest = &mut self.0[..];
        for run in runs(&bytes[HEAD..]) {
            let (these, behind) = rest.split_at_mut_checked(run.len).ok_or(Corrupted)?;
            these.iter_mut().for_each(|highest| *highest = (*highest).max(run.value));
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(Corrupted) }
    }

    pub fn registers(&self) -> &[u8] {
        &self.0
    }

    pub fn estimate(&self) -> u64 {
        /// 0.5 / ln 2
        const ALPHA: f64 = 0.721_347_520_444_481_7;
        let mut having = [0.0; 1 << REGISTER_BITS];
        self.0.iter().for_each(|count| having[usize::from(*count)] += 1.0);
        let all = REGISTERS as f64;
        let mut sum = all * tau((all - having[COUNTED_BITS + 1]) / all);
        for registers in having[1..=COUNTED_BITS].iter().rev() {
            sum = 0.5 * (sum + registers);
        }
        sum += all * sigma(having[0] / all);
        let estimate = ALPHA * all * all / sum;
        let whole = estimate as u64;
        whole + u64::from(estimate - whole as f64 >= 0.5)
    }
}

/// What registers without any count add.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// What registers with the highest count add.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = square_root(x);
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// By Newton's method, of a number between zero and one: without an operating system there is none.
fn square_root(x: f64) -> f64 {
    // Half of the exponent is near enough to begin with.
    const ONE: u64 = 1.0f64.to_bits();
    let mut root = f64::from_bits((x.to_bits() + ONE) / 2);
    for _ in 0..6 {
        root = 0.5 * (root + x / root);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sketch as registers, one byte each.
    fn registers(sketch: &Sketch) -> Result<Vec<u8>, Corrupted> {
        let mut union = Union::default();
        union.add(sketch)?;
        Ok(union.0.into())
    }

    proptest! {
        #[test]
        fn sparse_and_dense_ones_hold_what_was_raised(raised in prop::collection::vec((0..40usize, 1u8..36), 0..400), spread in 1usize..400) {
            let (mut sparse, mut dense, mut model) = (Sketch::default(), Sketch::default(), vec![0; REGISTERS]);
            prop_assert_eq!(dense.make_dense(), Ok(true));
            for (index, count) in raised {
                let index = index * spread % REGISTERS;
                let is_higher = model[index] < count;
                model[index] = model[index].max(count);
                prop_assert_eq!(sparse.raise(index, count), Ok(is_higher));
                prop_assert_eq!(dense.raise(index, count), Ok(is_higher));
            }
            prop_assert_eq!(&registers(&sparse), &Ok(model));
            prop_assert_eq!(registers(&sparse), registers(&dense));
        }

        #[test]
        fn whatever_bytes_may_follow_the_head(encoding in 0u8..3, tail in prop::collection::vec(any::<u8>(), 0..60), element in any::<[u8; 8]>()) {
            let mut bytes = Sketch::default().0;
            bytes[ENCODING] = encoding;
            bytes[STALE_AT] = STALE;
            bytes.truncate(HEAD);
            bytes.extend(tail);
            if let Some(mut sketch) = Sketch::of(&bytes) {
                let is_whole = sketch.estimate().is_ok();
                prop_assert_eq!(sketch.clone().make_dense().is_ok(), is_whole);
                prop_assert!(sketch.add(&element).is_ok() || !is_whole);
            }
        }
    }

    #[test]
    fn estimates_are_near() -> Result<(), Corrupted> {
        let mut sketch = Sketch::default();
        for seen in 1u64..=50_000 {
            sketch.add(&seen.to_le_bytes())?;
            sketch.forget_estimate();
            if seen.is_power_of_two() {
                let estimate = sketch.estimate()? as f64;
                assert!((estimate - seen as f64).abs() <= 1.0 + 0.03 * seen as f64, "{estimate} instead of {seen}");
            }
        }
        assert!(sketch.is_dense());
        Ok(())
    }

    #[test]
    fn roots_are_roots() {
        for x in [1e-300, 0.1, 0.25, 0.5, 0.999_938_964_843_75, 1.0 - f64::EPSILON] {
            assert!((square_root(x) - x.sqrt()).abs() <= f64::EPSILON * x.sqrt());
        }
    }
}
