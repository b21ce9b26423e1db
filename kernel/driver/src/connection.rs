//! Serves one client: moves bytes between its socket and its [`Connection`](mneme_kernel::connection::Connection), which
//! decides everything.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mneme_kernel::call::Wanted;
use mneme_kernel::connection::Step;
use mneme_kernel::ids::Index;
use mneme_kernel::session::{Peer, Port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backup::{Backup, BackupFailed};
use crate::env::{Env, Source, Stream};
use crate::node::{Client, Node};

/// What Redis says when there are too many clients.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// How often a client whose request is there lets others of its thread go first.
const YIELDS: u32 = 64;

/// How long a client of a stopping node may take to close its side.
const LINGER: Duration = Duration::from_millis(100);

/// Bytes that are read behind a request that has to wait.
const READ_AHEAD: usize = 16 << 10;

/// Serves a client until either side has had enough.
pub async fn serve<E: Env, S: Stream>(node: Arc<Node<E>>, mut stream: S, port: Port, peer: Peer, source: Source) {
    // Errors here mean that the client has gone: there is nobody to tell.
    match node.connect(port, peer) {
        Some(mut client) => {
            let _ = converse(&mut client, &mut stream, source).await;
            let _ = stream.shutdown().await;
            if node.enter(|core| core.is_closing()) {
                until_gone(&node, &mut stream).await;
            }
        }
        None => {
            let _ = stream.write_all(TOO_MANY).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// Waits a little for the other side to close too. What it sent meanwhile is not run; but a socket that is closed with
/// something unread takes with it the last replies that are on their way.
async fn until_gone<E: Env, S: Stream>(node: &Node<E>, stream: &mut S) {
    let (mut late, mut bytes) = (pin!(node.env().sleep(LINGER)), [0; 1024]);
    poll_fn(|context| {
        // Also one that sends without end is left after that time.
        while late.as_mut().poll(context).is_pending() {
            match pin!(stream.read(&mut bytes)).poll(context) {
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
}

async fn converse<E: Env, S: Stream>(client: &mut Client<E>, stream: &mut S, source: Source) -> io::Result<()> {
    let node = client.node.clone();
    let mut backup = None;
    loop {
        client.connection.prepare();
        others_first(&node).await;
        let mut step = client.run();
        if step == Step::Elsewhere {
            step = client.run_elsewhere().await;
        }
        if let Step::CheckPassword(credentials) = step {
            let check = node.env().check_password(credentials, source).await;
            client.password_checked(check);
            continue;
        }
        if let Step::HashPassword(password) = step {
            let hash = node.env().hash_password(password.clone()).await;
            client.password_hashed(password, hash);
            continue;
        }
        if step == Step::Save {
            let made = node.snapshot().await;
            client.done(made);
            continue;
        }
        if let Step::Remove(departure) = step {
            let removed = node.remove(&departure).await;
            client.done(removed);
            continue;
        }
        if step == Step::RotateCertificates {
            let rotated = node.rotate_certificates().await;
            client.done(rotated);
            continue;
        }
        if step == Step::SaveLater {
            let node = node.clone();
            node.env().clone().spawn("save", async move {
                // The client has its answer; LASTSAVE and the server's log tell what became of it.
                let _ = node.snapshot().await;
            });
            continue;
        }
        if let Step::Backup(wanted) = step {
            let read = read_backup(&node, &mut backup, wanted).await;
            client.backed_up(read);
            continue;
        }
        if step == Step::Kill {
            return Ok(());
        }
        if matches!(step, Step::Close | Step::Shutdown) {
            return drain(client, stream).await;
        }
        let accepted = &node.accepted;
        // A held command may run after any progress, the next reply may leave after its own batch.
        let counts = matches!(step, Step::Count(_));
        let mut progress = (step == Step::Held || counts).then(|| accepted.reached(accepted.value() + 1));
        let mut spread = counts.then(|| node.spreads.reached(node.spreads.value() + 1));
        let mut moved = client.connection.waits_for().map(|wanted| node.reached(wanted));
        let mut delay = match step {
            Step::Delay(time) | Step::Count(time) => Some(Box::pin(node.env().sleep(time))),
            _ => None,
        };
        let reads = match step {
            Step::Read => true,
            // To hear of it if the client goes.
            Step::Delay(_) | Step::Count(_) => client.connection.unread() < READ_AHEAD,
            _ => false,
        };
        client.advance(client.connection.ran_until());
        let progressed = poll_fn(|context| {
            let wrote = poll_send(client, stream, context)?;
            client.note_replying(!client.connection.is_drained());
            let moved = moved.as_mut().is_some_and(|moved| Pin::new(moved).poll(context).is_ready())
                | progress.as_mut().is_some_and(|progress| Pin::new(progress).poll(context).is_ready())
                | spread.as_mut().is_some_and(|spread| Pin::new(spread).poll(context).is_ready())
                | client.door.poll(context).is_ready()
                | delay.as_mut().is_some_and(|delay| delay.as_mut().poll(context).is_ready());
            let read = if reads { poll_receive(client, stream, context)? } else { None };
            match read {
                Some(0) => Poll::Ready(Ok::<_, io::Error>(false)),
                Some(_) => Poll::Ready(Ok(true)),
                None if moved || (wrote && step == Step::Full) => Poll::Ready(Ok(true)),
                None => Poll::Pending,
            }
        })
        .await?;
        if !progressed {
            // The client sends no more; what it asked for is answered.
            return drain(client, stream).await;
        }
    }
}

/// What a client that makes a backup asks for. One that failed has to begin anew.
async fn read_backup<E: Env>(
    node: &Node<E>,
    backup: &mut Option<Box<Backup<E>>>,
    wanted: Wanted,
) -> Result<(Index, Vec<u8>), BackupFailed> {
    let read = match (wanted, &mut *backup) {
        (Wanted::Next, backup) => backup.get_or_insert_with(|| Box::new(Backup::new(node))).next().await,
        (Wanted::Outline, Some(backup)) => backup.outline(),
        (Wanted::Outline, None) => Err(BackupFailed::Nothing),
        (Wanted::End, _) => Ok((Index::ZERO, Vec::new())),
    };
    if wanted == Wanted::End || read.is_err() {
        *backup = None;
    }
    read
}

/// While another thread has the store's lock, this one's other clients go first: they have bytes to receive, decrypt,
/// encrypt and send, and to sleep until the lock is free and be woken costs more than most pipelines take. Not for ever:
/// who waits in line gets the lock.
async fn others_first<E: Env>(node: &Node<E>) {
    for _ in 0..YIELDS {
        if !node.is_locked() {
            return;
        }
        let mut yielded = false;
        poll_fn(|context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Sends all replies, each when its gate opens.
async fn drain<E: Env, S: Stream>(client: &mut Client<E>, stream: &mut S) -> io::Result<()> {
    let node = client.node.clone();
    loop {
        client.advance(node.env().monotonic());
        poll_fn(|context| {
            poll_send(client, stream, context)?;
            if client.connection.ready().is_empty() { Poll::Ready(Ok::<_, io::Error>(())) } else { Poll::Pending }
        })
        .await?;
        if client.connection.is_drained() {
            return Ok(());
        }
        let mut moved = client.connection.waits_for().map(|wanted| node.reached(wanted));
        poll_fn(|context| {
            let moved = moved.as_mut().is_some_and(|moved| Pin::new(moved).poll(context).is_ready());
            if moved | client.door.poll(context).is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        // Takes the replies that other Cores have given; whoever is done runs nothing more.
        if client.run() == Step::Kill {
            return Ok(());
        }
    }
}

/// Sends what may leave, as far as the socket takes it; whether anything was sent.
fn poll_send<E: Env, S: Stream>(client: &mut Client<E>, stream: &mut S, context: &mut Context<'_>) -> io::Result<bool> {
    let mut wrote = false;
    while !client.connection.ready().is_empty() {
        match Pin::new(&mut *stream).poll_write(context, client.connection.ready()) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(n)) => {
                client.connection.sent(n);
                client.node.traffic().sent(n);
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
        wrote = true;
    }
    // TLS keeps what it has encrypted until it is flushed. Pending is fine: the socket wakes this task.
    if let Poll::Ready(Err(error)) = Pin::new(stream).poll_flush(context) {
        return Err(error);
    }
    Ok(wrote)
}

/// Receives what has arrived: how many bytes, 0 at the end of the stream, or `None` if nothing has.
fn poll_receive<E: Env, S: Stream>(
    client: &mut Client<E>,
    stream: &mut S,
    context: &mut Context<'_>,
) -> io::Result<Option<usize>> {
    match pin!(stream.read_buf(client.connection.input())).poll(context) {
        Poll::Ready(received) => {
            let received = received?;
            client.node.traffic().received(received);
            Ok(Some(received))
        }
        Poll::Pending => Ok(None),
    }
}
