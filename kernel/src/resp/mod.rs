//! The Redis protocol, versions 2 and 3: requests in, replies out, and a client's view of replies.

pub(crate) mod double;
mod pipeline;
mod reply;
mod request;
mod value;

pub use pipeline::Pipeline;
pub use reply::{Protocol, Reply};
pub(crate) use request::parse_i64;
pub use request::{Args, Decoder, OwnedArgs, ProtocolError, Trust};
pub use value::{Value, ValueDecoder, ValueError, encode_command};
