//! JSON documents: values, their text, their bytes in the log, and the paths that find values in them.
//!
//! The paths are those of RedisJSON, which are older than RFC 9535 and differ from it. They are evaluated here rather than by
//! a library for two reasons: whoever changes a document needs the places of what a path finds, and no path, however it is
//! made, may cost more than a bound says.

mod filter;
mod packed;
mod path;
mod place;
mod search;
mod text;
mod value;

pub use packed::{decode, decode_all, encode};
pub use path::{Path, PathError, Selector};
pub use place::{Place, Step, split_last};
pub use search::{Exhausted, Search, from_start};
pub use text::{Layout, ParseError, parse};
pub use value::{Json, Object};
