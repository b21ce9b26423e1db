//! The network between the nodes: each one is dialled at a relay in this process, which passes on what it hears, or does not.
//!
//! So a node can be cut off from the others without the rights that a packet filter needs. As in a network that is cut,
//! nothing is refused and nothing is closed: what is on its way waits, and arrives when the cut is healed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use super::COUNT;

/// How long a connection that is made across a cut is held: longer than a node waits for it, so that they do not pile up.
const HELD: Duration = Duration::from_secs(10);
/// How long dialling a node on this machine may take.
const DIAL: Duration = Duration::from_secs(3);
/// How much is passed on at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Which nodes are cut off from the others.
#[derive(Debug, Default)]
pub struct Cuts {
    cut: Mutex<[bool; COUNT]>,
    changed: Condvar,
}

impl Cuts {
    /// Cuts a node off, or joins it again.
    pub fn set(&self, node: usize, is_cut: bool) {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)[node] = is_cut;
        self.changed.notify_all();
    }

    /// Waits until there is a way, at most so long; whether there is.
    fn pass(&self, way: Way, at_most: Duration) -> bool {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(cut, at_most, |cut| way.is_cut(cut));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// From whom to whom; `None` is somebody who is none of the nodes.
#[derive(Clone, Copy, Debug)]
struct Way {
    from: Option<usize>,
    to: usize,
}

impl Way {
    fn is_cut(self, cut: &[bool; COUNT]) -> bool {
        // A node may dial itself, and always hears itself.
        self.from != Some(self.to) && (cut[self.to] || self.from.is_some_and(|from| cut[from]))
    }
}

/// Passes on to a node, which listens at `target`, whatever arrives at `listener`, until this process ends.
///
/// `who` tells which node has made a connection.
///
/// # Errors
/// If no thread can be started.
pub fn start(
    listener: TcpListener,
    to: usize,
    target: SocketAddr,
    cuts: Arc<Cuts>,
    who: impl Fn(&TcpStream) -> Option<usize> + Clone + Send + 'static,
) -> io::Result<()> {
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let (cuts, who) = (Arc::clone(&cuts), who.clone());
            // Without a thread it is closed, and dialled again.
            let _ = named("relayed").spawn(move || carry(&stream, Way { from: who(&stream), to }, target, &cuts));
        }
    };
    named("relay").spawn(accept).map(drop)
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Carries a connection until both its ends have closed it.
fn carry(dialled: &TcpStream, way: Way, target: SocketAddr, cuts: &Cuts) {
    if !cuts.pass(way, HELD) {
        return;
    }
    let Ok(onward) = TcpStream::connect_timeout(&target, DIAL) else { return };
    let _ = dialled.set_nodelay(true).and_then(|()| onward.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| pump(&onward, dialled, way, cuts));
        pump(dialled, &onward, way, cuts);
    });
}

/// Carries one direction. Its end, too, is carried on only where there is a way.
fn pump(mut from: &TcpStream, mut to: &TcpStream, way: Way, cuts: &Cuts) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk);
        while !cuts.pass(way, Duration::MAX) {}
        match read {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(length) if to.write_all(&chunk[..length]).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    /// Far longer than anything takes here.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn loopback() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").expect("a free port")
    }

    /// A relay of node 1, dialled by node 0; who dials, and the node's own listener.
    fn relay(cuts: &Arc<Cuts>, from: Option<usize>) -> (TcpStream, TcpListener) {
        let (relay, node) = (loopback(), loopback());
        let (at, target) = (relay.local_addr().expect("it"), node.local_addr().expect("it"));
        start(relay, 1, target, Arc::clone(cuts), move |_| from).expect("a thread");
        let dialled = TcpStream::connect(at).expect("the relay listens");
        dialled.set_read_timeout(Some(PATIENCE)).expect("set");
        (dialled, node)
    }

    /// What arrives at the node, byte by byte.
    fn heard(mut stream: TcpStream) -> Receiver<u8> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut byte = [0];
            while stream.read_exact(&mut byte).is_ok() && sender.send(byte[0]).is_ok() {}
        });
        receiver
    }

    #[test]
    fn what_is_said_arrives_in_both_directions_and_so_does_the_end() {
        let (mut dialled, node) = relay(&Arc::default(), Some(0));
        dialled.write_all(b"there").expect("said");
        let (mut stream, _) = node.accept().expect("dialled");
        let mut said = [0; 5];
        stream.read_exact(&mut said).expect("heard");
        stream.write_all(b"back").expect("said");
        drop(stream);
        let mut answer = String::new();
        dialled.read_to_string(&mut answer).expect("to the end");
        assert_eq!((&said, answer.as_str()), (b"there", "back"));
    }

    #[test]
    fn across_a_cut_nothing_arrives_until_it_is_healed() {
        for cut in [0, 1] {
            let cuts = Arc::<Cuts>::default();
            let (mut dialled, node) = relay(&cuts, Some(0));
            let heard = heard(node.accept().expect("dialled").0);
            dialled.write_all(b"a").expect("said");
            assert_eq!(heard.recv_timeout(PATIENCE), Ok(b'a'));
            cuts.set(cut, true);
            dialled.write_all(b"b").expect("a cut closes nothing");
            assert!(heard.recv_timeout(Duration::from_millis(200)).is_err(), "it went through the cut of {cut}");
            cuts.set(cut, false);
            assert_eq!(heard.recv_timeout(PATIENCE), Ok(b'b'));
        }
    }

    #[test]
    fn who_is_not_cut_off_and_whoever_dials_himself_is_heard() {
        for (from, cut) in [(Some(0), 2), (Some(1), 1), (None, 0)] {
            let cuts = Arc::<Cuts>::default();
            cuts.set(cut, true);
            let (mut dialled, node) = relay(&cuts, from);
            dialled.write_all(b"a").expect("said");
            assert_eq!(heard(node.accept().expect("dialled").0).recv_timeout(PATIENCE), Ok(b'a'));
        }
    }

    #[test]
    fn a_connection_made_across_a_cut_reaches_nobody_until_it_is_healed() {
        let cuts = Arc::<Cuts>::default();
        cuts.set(0, true);
        let (_dialled, node) = relay(&cuts, Some(0));
        node.set_nonblocking(true).expect("set");
        thread::sleep(Duration::from_millis(200));
        assert!(node.accept().is_err(), "it was dialled through the cut");
        node.set_nonblocking(false).expect("set");
        cuts.set(0, false);
        node.accept().expect("dialled when there is a way");
    }
}
