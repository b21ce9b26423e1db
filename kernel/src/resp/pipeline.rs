//! A connection's requests, in order: those that are whole are decoded ahead of their turn.

use alloc::vec::Vec;

use super::request::{Args, Decoder, ProtocolError, Span, Trust};

/// Requests that are decoded ahead, at most, and bytes of input that are looked at for it: of larger requests, decoding
/// is no large part.
const AHEAD: usize = 64;
const REACH: usize = 16 << 10;

/// The requests at the front of what has arrived. Whoever calls [`Pipeline::decode_ahead`] before it takes the store's lock
/// decodes nothing while it has it.
#[derive(Debug, Default)]
pub struct Pipeline {
    decoder: Decoder,
    /// Decoded ahead; the first `done` of them have had their turn.
    ahead: Vec<Whole>,
    spans: Vec<Span>,
    done: usize,
}

/// A request that has arrived whole.
#[derive(Clone, Copy, Debug)]
struct Whole {
    len: usize,
    /// Where its arguments' spans end; they begin where the last one's end.
    spans: usize,
}

impl Pipeline {
    /// Decodes what it can of `input`, which starts where the last request that had its turn ended. Nothing is refused
    /// here: what it stops at is decoded again in its turn.
    pub fn decode_ahead(&mut self, input: &[u8]) {
        if self.done < self.ahead.len() || self.decoder.is_midway() {
            return;
        }
        self.ahead.clear();
        self.spans.clear();
        self.done = 0;
        let mut rest = &input[..input.len().min(REACH)];
        // Inline commands are for people, who do not need it.
        while self.ahead.len() < AHEAD && rest.first() == Some(&b'*') {
            // Whoever it is by then: what a stranger may send, everyone may.
            match self.decoder.decode(rest, Trust::Stranger) {
                Ok(Some(len)) => {
                    self.spans.extend_from_slice(self.decoder.spans());
                    self.ahead.push(Whole { len, spans: self.spans.len() });
                    rest = &rest[len..];
                }
                Ok(None) => break,
                Err(_) => {
                    self.decoder.restart();
                    break;
                }
            }
        }
    }

    /// The length of the next request, if it is whole; its arguments are then [`Pipeline::args`]. As
    /// [`Decoder::decode`], of the same `input` as [`Pipeline::decode_ahead`] or of more.
    pub fn decode(&mut self, input: &[u8], trust: Trust) -> Result<Option<usize>, ProtocolError> {
        self.decode_ahead(input);
        match self.ahead.get(self.done) {
            Some(request) => Ok(Some(request.len)),
            None => self.decoder.decode(input, trust),
        }
    }

    /// The arguments of the next request, which [`Pipeline::decode`] has found at the front of `input`.
    pub fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        if self.done < self.ahead.len() { self.args_ahead(self.done, input) } else { self.decoder.args(input) }
    }

    /// The arguments of the next requests, as far as they are decoded.
    pub fn ahead<'a>(&'a self, mut input: &'a [u8]) -> impl Iterator<Item = Args<'a>> {
        (self.done..self.ahead.len()).map(move |i| {
            let args = self.args_ahead(i, input);
            input = &input[self.ahead[i].len..];
            args
        })
    }

    fn args_ahead<'a>(&'a self, i: usize, input: &'a [u8]) -> Args<'a> {
        let from = i.checked_sub(1).map_or(0, |before| self.ahead[before].spans);
        Args::new(input, &self.spans[from..self.ahead[i].spans])
    }

    /// The next request has had its turn.
    pub fn advance(&mut self) {
        if self.done < self.ahead.len() {
            self.done += 1;
        }
    }

    /// How many bytes of a request that is not whole are known to be missing behind the `buffered` ones, so that a reader
    /// can make room at once.
    pub fn wants(&self, buffered: usize) -> usize {
        let ahead: usize = self.ahead[self.done..].iter().map(|request| request.len).sum();
        self.decoder.wants(buffered - ahead)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// One argument, a pipeline of some requests, bounds that only a known client may pass, and what breaks the protocol.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let request = prop_oneof![
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5).prop_map(|words| {
                let mut bytes = alloc::format!("*{}\r\n", words.len()).into_bytes();
                for word in words {
                    bytes.extend(alloc::format!("${}\r\n", word.len()).bytes());
                    bytes.extend(word);
                    bytes.extend(b"\r\n");
                }
                bytes
            }),
            Just(b"PING 'a b'\r\n".to_vec()),
            Just([b"*1\r\n$20000\r\n", vec![7; 20_000].as_slice(), b"\r\n"].concat()),
            Just(b"*1\r\nx".to_vec()),
            Just([b"*20\r\n", b"$1\r\na\r\n".repeat(20).as_slice()].concat()),
        ];
        prop::collection::vec(request, 0..100).prop_map(|requests| requests.concat())
    }

    /// What `next` makes of input that arrives in pieces: the requests, and how it ends.
    fn run(
        input: &[u8],
        pieces: &[usize],
        mut next: impl FnMut(&[u8]) -> Result<Option<(usize, Vec<Vec<u8>>)>, ProtocolError>,
    ) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let (mut requests, mut consumed) = (vec![], 0);
        let ends = pieces.iter().scan(0, |end, piece| {
            *end += piece;
            Some((*end).min(input.len()))
        });
        for end in ends.chain([input.len()]) {
            loop {
                match next(&input[consumed..end]) {
                    Ok(Some((len, args))) => {
                        consumed += len;
                        requests.push(args);
                    }
                    Ok(None) => break,
                    Err(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn copy(args: Args<'_>) -> Vec<Vec<u8>> {
        args.iter().map(<[u8]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn looking_ahead_changes_nothing(
            input in input(),
            pieces in prop::collection::vec(0..5_000usize, 0..10),
            knows in any::<bool>(),
        ) {
            let trust = if knows { Trust::Known } else { Trust::Stranger };
            let mut decoder = Decoder::default();
            let expected = run(&input, &pieces, |rest| {
                Ok(decoder.decode(rest, trust)?.map(|len| (len, copy(decoder.args(rest)))))
            });
            let mut pipeline = Pipeline::default();
            let got = run(&input, &pieces, |rest| {
                pipeline.decode_ahead(rest);
                let first = pipeline.ahead(rest).next().map(copy);
                let Some(len) = pipeline.decode(rest, trust)? else { return Ok(None) };
                let args = copy(pipeline.args(rest));
                assert!(first.is_none_or(|first| first == args), "the first one ahead is the next one");
                pipeline.wants(rest.len());
                pipeline.advance();
                Ok(Some((len, args)))
            });
            prop_assert_eq!(got, expected);
        }
    }
}
