//! A node of the real binary, and a tiny client of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mneme_kernel::resp::{Value, ValueDecoder, encode_command};

/// How long anything may take before the test gives up: far more than it does, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "correct horse battery staple";

/// A folder that is removed at the end, unless the test fails.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, for the path of a Unix socket is bounded.
        let path = std::env::temp_dir().join(format!("mneme-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Node {
    process: Child,
    socket: PathBuf,
    /// What it printed when it was ready.
    #[allow(dead_code, reason = "not every test looks")]
    pub ready: String,
    /// Where clients connect with TLS.
    #[allow(dead_code, reason = "not every test does")]
    pub port: u16,
    pub admin_port: u16,
}

impl Node {
    /// Starts a server on this folder and waits until it is ready.
    #[allow(dead_code, reason = "not every test does")]
    pub fn start(data: &Path, socket: &Path, options: &[&str]) -> Node {
        Node::start_logging(data, socket, options, Stdio::inherit())
    }

    /// As [`Node::start`], with the log going there.
    pub fn start_logging(data: &Path, socket: &Path, options: &[&str], log: Stdio) -> Node {
        let mut core = program(env!("CARGO_BIN_EXE_mneme-core"));
        core.stderr(log).args(["--node", "test"]);
        Node::start_with(core, data, socket, options)
    }

    /// As [`Node::start`], by a command that has its environment, and without a name.
    pub fn start_with(mut core: Command, data: &Path, socket: &Path, options: &[&str]) -> Node {
        let (port, admin_port) = (free_port(), free_port());
        if !options.contains(&"--admin-listen") {
            core.args(["--admin-listen", &format!("127.0.0.1:{admin_port}")]);
        }
        let mut process = core
            .env("MNEME_ADMIN_PASSWORD", PASSWORD)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--read-listen", "127.0.0.1:0"])
            .args(["--cluster-listen", "127.0.0.1:0"])
            .args(["--data".as_ref(), data.as_os_str(), "--unix-socket".as_ref(), socket.as_os_str()])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let output = process.stdout.take().expect("it is piped");
        let mut node = Node { process, socket: socket.into(), ready: String::new(), port, admin_port };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.starts_with("ready "));
        node.ready = ready.expect("the server ended before it was ready");
        node
    }

    /// A new client, logged in.
    pub fn client(&self) -> io::Result<Client> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Client::new(stream).log_in()
    }

    /// Ends the process as `kill -9` does.
    #[allow(dead_code, reason = "not every test does")]
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }

    /// Waits until the process has ended by itself; its exit code.
    #[allow(dead_code, reason = "not every test does")]
    pub fn wait(&mut self) -> Option<i32> {
        let begun = std::time::Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it is ours") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server in order.
    #[allow(dead_code, reason = "not every test does")]
    pub fn stop(mut self) {
        let mut client = self.client().expect("it serves");
        // It may close the connection before it says anything.
        let _ = client.ask(&["SHUTDOWN"]);
        assert!(self.process.wait().expect("it has ended").success());
    }

    /// The status that a page of the admin port has.
    #[allow(dead_code, reason = "not every test does")]
    pub fn admin_status(&self, page: &str) -> String {
        self.admin_page(page).0.split(' ').nth(1).unwrap_or_default().into()
    }

    /// The head and the body of a page of the admin port.
    #[allow(dead_code, reason = "not every test does")]
    pub fn admin_page(&self, page: &str) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin_port)).expect("the admin port listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        write!(stream, "GET {page} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("the request is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.into(), body.into())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program of ours, without the settings of whoever runs the test.
pub fn program(path: &str) -> Command {
    let mut program = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MNEME_")) {
        program.env_remove(name);
    }
    program
}

/// A port to listen on, given once: below those that Linux gives to whoever dials or listens on port 0 (32768 and up), so
/// that nothing else takes it before the server does; and below those of `mneme-cli demo`.
#[allow(dead_code, reason = "not every test does")]
pub fn free_port() -> u16 {
    const LOWEST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // Another test that runs meanwhile looks elsewhere.
    let first = std::process::id().wrapping_mul(97);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        assert!(number < COUNT, "no port is free");
        let port = (LOWEST + first.wrapping_add(number) % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A connection, over the Unix socket unless told otherwise.
#[derive(Debug)]
pub struct Client<S = UnixStream> {
    pub stream: S,
    decoder: ValueDecoder,
    input: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Client { stream, decoder: ValueDecoder::default(), input: Vec::new() }
    }

    /// # Errors
    /// If the connection is lost or the password refused.
    pub fn log_in(mut self) -> io::Result<Self> {
        match self.ask(&["AUTH", PASSWORD])? {
            Value::Simple(ok) if ok == "OK" => Ok(self),
            other => Err(io::Error::other(format!("AUTH is answered {other:?}"))),
        }
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// If the connection is lost: what became of the command is not known.
    pub fn ask(&mut self, command: &[&str]) -> io::Result<Value> {
        let mut bytes = Vec::new();
        encode_command(command, &mut bytes);
        self.stream.write_all(&bytes)?;
        self.answer()
    }

    /// Waits for a reply, or for what the server says unasked.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn answer(&mut self) -> io::Result<Value> {
        loop {
            let (used, value) = self.decoder.decode(&self.input).map_err(io::Error::other)?;
            self.input.drain(..used);
            if let Some(value) = value {
                return Ok(value);
            }
            let mut arrived = [0; 16 << 10];
            match self.stream.read(&mut arrived)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.input.extend(&arrived[..n]),
            }
        }
    }
}
