//! Positions on Earth: kept as the scores of a sorted set, so that what is near is mostly near in its order.
//!
//! A geohash interleaves the bits of latitude and longitude, 26 of each; the cell of a coarser grid is a range of scores. All
//! arithmetic is Redis's, in its order, so that the digits are the same.

use alloc::vec::Vec;
use core::ops::Range;

use libm::{asin, cos, fabs, sin, sqrt};

/// A longitude and a latitude in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Position {
    pub(crate) longitude: f64,
    pub(crate) latitude: f64,
}

const LONGITUDE: f64 = 180.0;
/// The Mercator projection's, in EPSG:900913.
const LATITUDE: f64 = 85.051_128_78;
/// Half of the Earth's circumference in that projection, in metres.
const MERCATOR: f64 = 20_037_726.37;
/// The Earth's radius in metres.
const RADIUS: f64 = 6_372_797.560_856;
/// Bits of a latitude or a longitude.
const STEPS: u32 = 26;

const DEGREE: f64 = core::f64::consts::PI / 180.0;

impl Position {
    /// `None` if there is no such position.
    pub(crate) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let is_valid = (-LONGITUDE..=LONGITUDE).contains(&longitude) && (-LATITUDE..=LATITUDE).contains(&latitude);
        is_valid.then_some(Self { longitude, latitude })
    }

    /// The score that means it.
    pub(crate) fn score(self) -> f64 {
        self.cell(STEPS, LATITUDE).hash() as f64
    }

    /// The middle of the cell that a score means.
    pub(crate) fn of_score(score: f64) -> Self {
        /// As C's conversions do it on x86-64, whatever the score.
        const BEYOND: f64 = (1u128 << 64) as f64;
        let hash = if score < 0.0 {
            score as i64 as u64
        } else if score < BEYOND {
            score as u64
        } else {
            0
        };
        let area = Cell { x: gather(hash >> 1), y: gather(hash), steps: STEPS }.area();
        let middle = |range: Range<f64>, bound: f64| ((range.start + range.end) / 2.0).min(bound).max(-bound);
        Self { longitude: middle(area.longitudes, LONGITUDE), latitude: middle(area.latitudes, LATITUDE) }
    }

    /// The geohash in letters, which is about all latitudes.
    pub(crate) fn letters(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let hash = self.cell(STEPS, 90.0).hash();
        // The last letter would need three bits more than there are.
        let letter = |i: usize| if i == 10 { 0 } else { hash >> (52 - (i + 1) * 5) & 0x1f };
        core::array::from_fn(|i| ALPHABET[letter(i) as usize])
    }

    /// In metres, by the haversine formula.
    pub(crate) fn distance(self, other: Self) -> f64 {
        let v = sin((other.longitude * DEGREE - self.longitude * DEGREE) / 2.0);
        if v == 0.0 {
            return self.distance_of_latitudes(other);
        }
        let (from, to) = (self.latitude * DEGREE, other.latitude * DEGREE);
        let u = sin((to - from) / 2.0);
        2.0 * RADIUS * asin(sqrt(u * u + cos(from) * cos(to) * v * v))
    }

    fn distance_of_latitudes(self, other: Self) -> f64 {
        RADIUS * fabs(other.latitude * DEGREE - self.latitude * DEGREE)
    }

    /// The cell around it in a grid that divides both ranges so many times by two.
    fn cell(self, steps: u32, latitudes: f64) -> Cell {
        let place = |degrees: f64, bound: f64| ((degrees + bound) / (bound - -bound) * (1u64 << steps) as f64) as u32;
        Cell { x: place(self.longitude, LONGITUDE), y: place(self.latitude, latitudes), steps }
    }
}

/// A cell of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    /// Eastwards.
    x: u32,
    /// Northwards.
    y: u32,
    steps: u32,
}

#[derive(Clone, Debug)]
struct Area {
    longitudes: Range<f64>,
    latitudes: Range<f64>,
}

impl Cell {
    fn hash(self) -> u64 {
        spread(self.x) << 1 | spread(self.y)
    }

    fn area(self) -> Area {
        let side = |place: u32, bound: f64| {
            let at = |place: u32| -bound + (f64::from(place) / (1u64 << self.steps) as f64) * (bound - -bound);
            at(place)..at(place.wrapping_add(1))
        };
        Area { longitudes: side(self.x, LONGITUDE), latitudes: side(self.y, LATITUDE) }
    }

    /// The neighbour so far in the east and north; around the Earth in both directions.
    fn neighbour(self, (east, north): (i32, i32)) -> Self {
        let shift = |place: u32, by: i32| match by {
            0 => place,
            by => place.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Self { x: shift(self.x, east), y: shift(self.y, north), ..self }
    }

    /// The scores of the positions in it: from the first, and below the second.
    fn scores(self) -> Range<f64> {
        let shift = 2 * (STEPS - self.steps);
        (self.hash() << shift) as f64..((self.hash() + 1) << shift) as f64
    }
}

/// Puts each bit of a number at twice its place.
fn spread(n: u32) -> u64 {
    let n = u64::from(n);
    let n = (n | n << 16) & 0x0000_ffff_0000_ffff;
    let n = (n | n << 8) & 0x00ff_00ff_00ff_00ff;
    let n = (n | n << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let n = (n | n << 2) & 0x3333_3333_3333_3333;
    (n | n << 1) & 0x5555_5555_5555_5555
}

/// The bits at even places.
fn gather(n: u64) -> u32 {
    let n = n & 0x5555_5555_5555_5555;
    let n = (n | n >> 1) & 0x3333_3333_3333_3333;
    let n = (n | n >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    let n = (n | n >> 4) & 0x00ff_00ff_00ff_00ff;
    let n = (n | n >> 8) & 0x0000_ffff_0000_ffff;
    (n | n >> 16) as u32
}

/// What is searched, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Shape {
    /// How far the position is from the shape's middle, if it is within.
    pub(crate) fn distance(self, middle: Position, position: Position) -> Option<f64> {
        match self {
            // From the other side of the Earth it may be no number, and Redis takes that for near.
            Shape::Circle { radius } => Some(middle.distance(position)).filter(|d| *d <= radius || d.is_nan()),
            Shape::Box { width, height } => {
                let level = Position { longitude: middle.longitude, ..position };
                let is_outside =
                    position.distance_of_latitudes(middle) > height / 2.0 || position.distance(level) > width / 2.0;
                (!is_outside).then(|| middle.distance(position))
            }
        }
    }

    /// Half of the width and of the height of the smallest box around it, and the distance of its farthest point.
    fn extents(self) -> (f64, f64, f64) {
        match self {
            Shape::Circle { radius } => (radius, radius, radius),
            Shape::Box { width, height } => {
                let (width, height) = (width / 2.0, height / 2.0);
                (width, height, sqrt(width * width + height * height))
            }
        }
    }

    /// The ranges of scores in which all positions within are, in the order in which Redis looks at them.
    pub(crate) fn scores(self, middle: Position) -> Vec<Range<f64>> {
        /// A cell's own place, and those around it.
        const AROUND: [(i32, i32); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let (width, height, farthest) = self.extents();
        let bounds = bounds(middle, width, height);
        let mut cell = middle.cell(steps(farthest, middle.latitude), LATITUDE);
        let reaches = |cell: Cell| {
            let [north, south, east, west] = [(0, 1), (0, -1), (1, 0), (-1, 0)].map(|to| cell.neighbour(to).area());
            !(north.latitudes.end < bounds.latitudes.end
                || south.latitudes.start > bounds.latitudes.start
                || east.longitudes.end < bounds.longitudes.end
                || west.longitudes.start > bounds.longitudes.start)
        };
        if cell.steps > 1 && !reaches(cell) {
            cell = middle.cell(cell.steps - 1, LATITUDE);
        }
        let area = cell.area();
        let is_needed = |(east, north): (i32, i32)| {
            let is_beyond = north < 0 && area.latitudes.start < bounds.latitudes.start
                || north > 0 && area.latitudes.end > bounds.latitudes.end
                || east < 0 && area.longitudes.start < bounds.longitudes.start
                || east > 0 && area.longitudes.end > bounds.longitudes.end;
            cell.steps < 2 || !is_beyond
        };
        let needed = AROUND.into_iter().filter(|to| is_needed(*to)).map(|to| cell.neighbour(to));
        let mut cells: Vec<Cell> = Vec::with_capacity(AROUND.len());
        for cell in needed {
            // On a coarse grid neighbours meet on the other side of the Earth.
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells.into_iter().map(Cell::scores).collect()
    }
}

/// The box around what reaches so far from the middle.
fn bounds(middle: Position, width: f64, height: f64) -> Area {
    let north = height / RADIUS / DEGREE;
    // The same width is more degrees where the parallels are shorter.
    let farthest = if middle.latitude < 0.0 { middle.latitude - north } else { middle.latitude + north };
    let east = width / RADIUS / cos(farthest * DEGREE) / DEGREE;
    Area {
        longitudes: middle.longitude - east..middle.longitude + east,
        latitudes: middle.latitude - north..middle.latitude + north,
    }
}

/// The finest grid in which a cell and its neighbours contain what reaches so far.
fn steps(mut reach: f64, latitude: f64) -> u32 {
    if reach == 0.0 {
        return STEPS;
    }
    let mut steps = 1;
    while reach < MERCATOR {
        reach *= 2.0;
        steps += 1;
    }
    // The range is to be within most of the time, also near the poles, where cells are narrower.
    let less = 2 + u32::from(fabs(latitude) > 66.0) + u32::from(fabs(latitude) > 80.0);
    u32::saturating_sub(steps, less).clamp(1, STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn position() -> impl Strategy<Value = Position> {
        (-180.0..=180.0f64, -85.05..=85.05f64).prop_map(|(longitude, latitude)| Position { longitude, latitude })
    }

    #[test]
    fn palermo_is_where_it_is() {
        let palermo = Position { longitude: 13.361389, latitude: 38.115556 };
        let catania = Position { longitude: 15.087269, latitude: 37.502669 };
        assert_eq!(palermo.score(), 3479099956230698.0);
        let [palermo, catania] = [palermo, catania].map(|place| Position::of_score(place.score()));
        assert_eq!(palermo.longitude.to_string(), "13.361389338970184");
        assert_eq!(&palermo.letters(), b"sqc8b49rny0");
        assert_eq!(alloc::format!("{:.4}", palermo.distance(catania)), "166274.1516");
    }

    #[test]
    fn bits_are_spread_and_gathered() {
        assert_eq!(spread(0b1011), 0b1000101);
        assert_eq!(gather(spread(u32::MAX)), u32::MAX);
    }

    proptest! {
        /// But for what lies on the other side of the poles or of the date line, which Redis does not find either.
        #[test]
        fn what_is_within_is_searched(middle in position(), longitude in -1.0..=1.0f64, latitude in -1.0..=1.0f64, size in 0.0..8.0f64) {
            let reach = libm::pow(10.0, size - 6.0);
            let other = Position::new(middle.longitude + longitude * reach, middle.latitude + latitude * reach);
            prop_assume!(middle.longitude.abs() < 90.0 && middle.latitude.abs() < 60.0);
            let Some(other) = other else { return Ok(()) };
            let distance = middle.distance(other) * 1.000001 + 1.0;
            prop_assume!(distance < 2_000_000.0);
            for shape in [Shape::Circle { radius: distance }, Shape::Box { width: distance * 2.0, height: distance * 2.0 }] {
                let ranges = shape.scores(middle);
                if shape.distance(middle, other).is_some() {
                    prop_assert!(ranges.iter().any(|range| range.contains(&other.score())), "{:?} {:?} {:?}", shape, other, ranges);
                }
            }
        }
    }
}
