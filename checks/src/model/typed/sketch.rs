//! HyperLogLogs. Of so few elements as there are here the estimate is exact.

use std::collections::BTreeSet;

use super::Element;
use crate::model::Reply;

/// What one has heard of.
pub type Sketch = BTreeSet<Element>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Add(Vec<Element>),
}

pub fn run(Call::Add(elements): &Call, mut sketch: Sketch) -> (Reply, Sketch) {
    let before = sketch.len();
    sketch.extend(elements);
    (Reply::Number(i64::from(sketch.len() > before)), sketch)
}
