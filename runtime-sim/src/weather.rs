//! Links between machines, as the weather lets them be: late in one direction, lossy in one direction, handing out what
//! came in pieces, or broken in the middle of a message. What madsim's own network does (a latency for all, cuts, loss) is
//! beneath that.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use madsim::net::TcpStream;
use madsim::rand::{Rng, thread_rng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock;
use crate::sleep::{Sleep, sleep};

/// After how long what was lost is sent again; doubles with each further loss.
const SENT_AGAIN: Duration = Duration::from_millis(200);
/// How often the same is lost at most.
const MOST_LOSSES: u32 = 5;
/// Bytes that are read at once where something may delay them.
const CHUNK: usize = 64 << 10;
/// The most bytes of a piece.
const PIECE: usize = 24;

/// From which machine to which.
pub type Direction = (IpAddr, IpAddr);

/// What happens to what is sent in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Condition {
    /// It comes so much later, at most.
    pub late: Duration,
    /// The share of it that is lost and sent again.
    pub lost: f64,
}

impl Condition {
    fn is_calm(self) -> bool {
        self == Condition::default()
    }

    /// How much later something comes.
    fn delay(self) -> Duration {
        let mut random = thread_rng();
        let mut delay = self.late.mul_f64(random.r#gen());
        for losses in 0..MOST_LOSSES {
            if !random.gen_bool(self.lost) {
                break;
            }
            delay += SENT_AGAIN * (1 << losses);
        }
        delay
    }
}

/// The weather of one simulation.
#[derive(Debug, Default)]
pub struct Weather(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    conditions: BTreeMap<Direction, Condition>,
    /// How often all links of a direction were broken.
    breaks: BTreeMap<Direction, u64>,
    /// With which probability a piece is handed out where there is more.
    pieces: f64,
    /// How many links have broken in the middle of what was sent.
    torn: u64,
}

impl Weather {
    pub fn set(&self, direction: Direction, condition: Condition) {
        let mut state = lock(&self.0);
        match condition.is_calm() {
            true => state.conditions.remove(&direction),
            false => state.conditions.insert(direction, condition),
        };
    }

    /// Ends all conditions.
    pub fn clear(&self) {
        lock(&self.0).conditions.clear();
    }

    /// With this probability a read gives only a piece of what has come.
    pub fn set_pieces(&self, probability: f64) {
        lock(&self.0).pieces = probability;
    }

    /// Breaks every link between two machines as soon as something is sent over it: a part of that still arrives.
    pub fn break_links(&self, a: IpAddr, b: IpAddr) {
        let mut state = lock(&self.0);
        for direction in [(a, b), (b, a)] {
            *state.breaks.entry(direction).or_default() += 1;
        }
    }

    /// How many links have broken in the middle of what was sent.
    pub fn torn(&self) -> u64 {
        lock(&self.0).torn
    }

    fn breaks(&self, direction: Direction) -> u64 {
        lock(&self.0).breaks.get(&direction).copied().unwrap_or_default()
    }

    fn condition(&self, direction: Direction) -> Condition {
        lock(&self.0).conditions.get(&direction).copied().unwrap_or_default()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct SimLink {
    /// `None` once it is broken.
    stream: Option<TcpStream>,
    weather: Arc<Weather>,
    outward: Direction,
    /// Of [`Weather::breaks`], when it was made.
    breaks: u64,
    /// What was written and not flushed.
    written: Vec<u8>,
    /// What has come and is held up, and until when.
    held: Vec<u8>,
    until: Option<Sleep>,
}

impl SimLink {
    pub(crate) fn new(stream: TcpStream, weather: Arc<Weather>) -> SimLink {
        let ip = |address: io::Result<std::net::SocketAddr>| {
            address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
        };
        let outward = (ip(stream.local_addr()), ip(stream.peer_addr()));
        let breaks = weather.breaks(outward);
        SimLink { stream: Some(stream), weather, outward, breaks, written: Vec::new(), held: Vec::new(), until: None }
    }

    fn inward(&self) -> Direction {
        (self.outward.1, self.outward.0)
    }

    /// Hands out what was held up, or a piece of it.
    fn give_held(&mut self, buf: &mut ReadBuf<'_>) {
        let given = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..given]);
        self.held.drain(..given);
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for SimLink {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let link = &mut *self;
        if let Some(until) = &mut link.until {
            ready!(Pin::new(until).poll(cx));
            link.until = None;
        }
        if !link.held.is_empty() {
            link.give_held(buf);
            return Poll::Ready(Ok(()));
        }
        let condition = link.weather.condition(link.inward());
        let pieces = lock(&link.weather.0).pieces;
        let Some(stream) = &mut link.stream else { return Poll::Ready(Err(broken())) };
        if !condition.is_calm() {
            let mut chunk = vec![0; CHUNK];
            let mut come = ReadBuf::new(&mut chunk);
            ready!(Pin::new(stream).poll_read(cx, &mut come))?;
            let delay = condition.delay();
            link.held = come.filled().to_vec();
            if link.held.is_empty() {
                return Poll::Ready(Ok(()));
            }
            link.until = Some(sleep(delay));
            return self.poll_read(cx, buf);
        }
        if pieces > 0.0 && thread_rng().gen_bool(pieces) {
            let mut piece = [0; PIECE];
            let len = thread_rng().gen_range(1..=PIECE).min(buf.remaining());
            let mut come = ReadBuf::new(&mut piece[..len]);
            ready!(Pin::new(stream).poll_read(cx, &mut come))?;
            buf.put_slice(come.filled());
            return Poll::Ready(Ok(()));
        }
        Pin::new(stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for SimLink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.stream.is_none() {
            return Poll::Ready(Err(broken()));
        }
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let link = &mut *self;
        let Some(stream) = &mut link.stream else { return Poll::Ready(Err(broken())) };
        let is_torn = !link.written.is_empty() && link.weather.breaks(link.outward) != link.breaks;
        if is_torn {
            let arrives = thread_rng().gen_range(0..=link.written.len());
            link.written.truncate(arrives);
            lock(&link.weather.0).torn += 1;
        }
        // madsim takes all at once, and never has to wait.
        let written = std::mem::take(&mut link.written);
        if !written.is_empty() {
            let _ = ready!(Pin::new(&mut *stream).poll_write(cx, &written))?;
        }
        let flushed = ready!(Pin::new(stream).poll_flush(cx));
        if is_torn {
            link.stream = None;
            return Poll::Ready(Err(broken()));
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use madsim::Config;
    use madsim::net::TcpListener;
    use madsim::runtime::{Handle, Runtime};
    use madsim::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const MESSAGE: &[u8] = b"a message of some length, that is read in pieces or torn";

    fn ip(number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
    }

    /// What the second machine reads of a message of the first one, how long that takes, and what the first one is told.
    fn sent(seed: u64, change: impl Fn(&Weather) + Send + 'static) -> (Vec<u8>, Duration, bool) {
        Runtime::with_seed_and_config(seed, Config::default()).block_on(async move {
            let weather: Arc<Weather> = Arc::default();
            let node = |number| Handle::current().create_node().ip(ip(number)).build();
            let (of_reader, of_writer) = (weather.clone(), weather.clone());
            let reading = node(2).spawn(async move {
                let listener = TcpListener::bind("10.0.0.2:1").await.expect("a free port");
                let (stream, _) = listener.accept().await.expect("somebody comes");
                let begun = Instant::now();
                let mut come = Vec::new();
                let _ = SimLink::new(stream, of_reader).read_to_end(&mut come).await;
                (come, begun.elapsed())
            });
            let writing = node(1).spawn(async move {
                madsim::time::sleep(Duration::from_millis(10)).await;
                let stream = TcpStream::connect("10.0.0.2:1").await.expect("somebody listens");
                let mut link = SimLink::new(stream, of_writer);
                change(&weather);
                link.write_all(MESSAGE).await.expect("it is taken");
                link.flush().await.is_ok()
            });
            let written = writing.await.expect("it ends");
            let (come, took) = reading.await.expect("it ends");
            (come, took, written)
        })
    }

    #[test]
    fn in_calm_weather_all_arrives_at_once_and_in_pieces_it_is_the_same() {
        let (come, took, written) = sent(1, |_| ());
        assert_eq!((&*come, written), (MESSAGE, true));
        assert!(took < Duration::from_millis(20), "{took:?}");
        let (come, _, _) = sent(1, |weather| weather.set_pieces(0.9));
        assert_eq!(come, MESSAGE);
    }

    #[test]
    fn what_is_late_or_lost_in_one_direction_arrives_later() {
        let late = Condition { late: Duration::from_secs(10), lost: 0.0 };
        let slowest = (0..20).map(|seed| sent(seed, move |weather| weather.set((ip(1), ip(2)), late)).1).max();
        assert!(slowest > Some(Duration::from_secs(5)), "{slowest:?}");
        let lost = Condition { late: Duration::ZERO, lost: 1.0 };
        assert!(sent(1, move |weather| weather.set((ip(1), ip(2)), lost)).1 > SENT_AGAIN * 30);
        assert!(sent(1, move |weather| weather.set((ip(2), ip(1)), lost)).1 < SENT_AGAIN);
    }

    #[test]
    fn a_broken_link_delivers_a_beginning_and_both_ends_find_out() {
        let torn: Vec<_> = (0..20).map(|seed| sent(seed, |weather| weather.break_links(ip(2), ip(1)))).collect();
        assert!(torn.iter().all(|(come, _, written)| MESSAGE.starts_with(come) && !written));
        assert!(torn.iter().any(|(come, ..)| !come.is_empty() && come.len() < MESSAGE.len()));
    }
}
