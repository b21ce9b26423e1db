//! A connection that never waits.

use std::io::{self, ErrorKind, Read, Write};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;

use crate::cli::dial::Link;

/// More than a TLS connection hands over at once: a record, and what was left of the one before.
pub const ROOM: usize = 64 * 1024;

/// A link to the server, for [`mio`].
#[derive(Debug)]
pub enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(TcpStream, Box<ClientConnection>),
}

impl Wire {
    /// # Errors
    /// If the system refuses.
    pub fn new(link: Link) -> io::Result<Wire> {
        Ok(match link {
            Link::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Wire::Unix(UnixStream::from_std(stream))
            }
            Link::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Wire::Tcp(TcpStream::from_std(stream))
            }
            Link::Tls(stream) => {
                let (mut tls, tcp) = (stream.conn, stream.sock);
                tcp.set_nonblocking(true)?;
                // What is not yet sent is bounded by the pipeline.
                tls.set_buffer_limit(None);
                Wire::Tls(TcpStream::from_std(tcp), Box::new(tls))
            }
        })
    }

    /// The registry tells by this token when there is something to read, and once more when there is room to write, if asked.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.source(), token, Interest::READABLE)
    }

    /// # Errors
    /// If the system refuses.
    pub fn want_room(&mut self, registry: &Registry, token: Token, wanted: bool) -> io::Result<()> {
        let interest = if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        registry.reregister(self.source(), token, interest)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Wire::Unix(stream) => stream,
            Wire::Tcp(stream) | Wire::Tls(stream, _) => stream,
        }
    }

    /// Sends what is to be sent, as far as there is room; whether all of it is gone. What is not stays in `out`, or in the
    /// TLS connection.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn send(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Wire::Unix(stream) => send_clear(stream, out),
            Wire::Tcp(stream) => send_clear(stream, out),
            Wire::Tls(stream, tls) => {
                tls.writer().write_all(out)?;
                out.clear();
                while tls.wants_write() {
                    match tls.write_tls(stream) {
                        Ok(_) => {}
                        Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                        Err(e) if e.kind() == ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok(true)
            }
        }
    }

    /// Takes what has come, into at least [`ROOM`]; perhaps nothing yet, of a record that is not whole.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if nothing has come; else the connection is lost.
    pub fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Unix(stream) => some(stream.read(room)?),
            Wire::Tcp(stream) => some(stream.read(room)?),
            Wire::Tls(stream, tls) => {
                some(tls.read_tls(stream)?)?;
                let state = tls.process_new_packets().map_err(io::Error::other)?;
                let come = state.plaintext_bytes_to_read();
                if come > room.len() {
                    return Err(io::Error::other("more at once than there is room for"));
                }
                tls.reader().read_exact(&mut room[..come])?;
                Ok(come)
            }
        }
    }
}

fn send_clear(stream: &mut impl Write, out: &mut Vec<u8>) -> io::Result<bool> {
    let mut sent = 0;
    while sent < out.len() {
        match stream.write(&out[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => sent += more,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    out.drain(..sent);
    Ok(out.is_empty())
}

/// Nothing at all means that the other side has closed.
fn some(got: usize) -> io::Result<usize> {
    if got == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(got) }
}
