//! `top`: what the nodes of `-H` do, refreshed again and again; for a terminal, or as text.

mod page;
mod sample;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Words;
use super::options::Options;
use super::stop::Stop;
use super::terminal::{Key, Terminal};
use page::{Order, View};
use sample::{News, Node};

const USAGE: &str = "usage: mneme-cli [FLAGS] [-i SECONDS] top [--count N]";
/// Between two looks, if nothing else is said.
const INTERVAL: Duration = Duration::from_secs(1);
/// The shortest: a look takes a node some milliseconds.
const SHORTEST: Duration = Duration::from_millis(100);
/// How long a key may have to wait.
const BLINK: Duration = Duration::from_millis(50);
/// How wide text is that goes to no terminal.
const WIDTH: usize = 120;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// So many pages of text, instead of the terminal.
    count: Option<u64>,
}

impl Command {
    /// The command that these words are, if it is this one.
    ///
    /// # Errors
    /// If it is, and its arguments are wrong.
    pub fn of(words: &Words) -> Result<Option<Command>, Stop> {
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        let count = match words.iter().map(|word| &**word).collect::<Vec<_>>().as_slice() {
            ["top"] => None,
            ["top", "--count", count] => match count.parse() {
                Ok(count) if count > 0 => Some(count),
                _ => return Err(Stop::Usage(format!("top: --count: \"{count}\" is no number of pages\n{USAGE}"))),
            },
            ["top", ..] => return Err(Stop::Usage(USAGE.to_owned())),
            _ => return Ok(None),
        };
        Ok(Some(Command { count }))
    }

    /// Shows it until that is enough.
    ///
    /// # Errors
    /// If no node can be reached at the start, or the terminal is of no use.
    pub fn run(self, options: &Options) -> Result<(), Stop> {
        let every = options.interval.unwrap_or(INTERVAL).max(SHORTEST);
        let (mut watched, news) = Watched::start(options, every)?;
        match self.count {
            None if io::stdin().is_terminal() && io::stdout().is_terminal() => show(&mut watched, &news),
            count => print(&mut watched, &news, count.unwrap_or(1), every),
        }
    }
}

/// All nodes, and what was last heard of them.
struct Watched {
    nodes: BTreeMap<usize, Node>,
    hosts: usize,
}

impl Watched {
    /// Begins to look, and waits until each node has answered or could not.
    fn start(options: &Options, every: Duration) -> Result<(Watched, Receiver<News>), Stop> {
        let hosts = options.target.each();
        let mut watched = Watched { nodes: BTreeMap::new(), hosts: hosts.len() };
        let news = sample::watch(hosts, &options.opening, every);
        while watched.nodes.len() < watched.hosts {
            match news.recv() {
                Ok(heard) => watched.hear(heard),
                Err(_) => break,
            }
        }
        if watched.nodes.values().any(|node| node.now.is_some()) {
            return Ok((watched, news));
        }
        let mut problems = watched.nodes.into_values().filter_map(|node| node.problem);
        Err(match problems.next() {
            Some(Stop::Connection(first)) => {
                let others = problems.filter_map(|problem| match problem {
                    Stop::Connection(why) => Some(why),
                    _ => None,
                });
                Stop::Connection([first].into_iter().chain(others).collect::<Vec<_>>().join("\n"))
            }
            Some(other) => other,
            None => Stop::Connection("no host to look at".to_owned()),
        })
    }

    fn hear(&mut self, news: News) {
        self.nodes.entry(news.host).or_insert_with(|| Node::new(news.name.clone())).hear(news.looked);
    }

    fn nodes(&self) -> Vec<&Node> {
        self.nodes.values().collect()
    }
}

/// Prints pages of text. The first waits for a second look, so that it has rates.
fn print(watched: &mut Watched, news: &Receiver<News>, count: u64, every: Duration) -> Result<(), Stop> {
    let view = View { order: Order::Calls, is_paused: false, is_help: false };
    let mut out = io::stdout().lock();
    for page in 0..count {
        let until = Instant::now() + every + every / 2;
        while let Ok(heard) = news.recv_timeout(until.saturating_duration_since(Instant::now())) {
            watched.hear(heard);
            if watched.nodes().iter().all(|node| node.looks() > page + 1) {
                break;
            }
        }
        if page > 0 {
            writeln!(out)?;
        }
        for line in page::lines(&watched.nodes(), view, WIDTH, usize::MAX) {
            writeln!(out, "{}", line.text.trim_end())?;
        }
        out.flush()?;
    }
    Ok(())
}

/// Shows it on the terminal until a key or a signal ends it.
fn show(watched: &mut Watched, news: &Receiver<News>) -> Result<(), Stop> {
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&is_over))?;
    }
    let mut view = View { order: Order::Calls, is_paused: false, is_help: false };
    let terminal = Terminal::take()?;
    let mut is_new = true;
    while !is_over.load(Ordering::Relaxed) {
        if is_new {
            let (width, height) = terminal.size()?;
            terminal.draw(&page::lines(&watched.nodes(), view, width, height))?;
        }
        is_new = match terminal.key(BLINK)? {
            Some(Key::Char('q')) => return Ok(()),
            Some(Key::Char('p' | ' ')) => {
                view.is_paused = !view.is_paused;
                true
            }
            Some(Key::Char('s')) => {
                view.order = view.order.next();
                true
            }
            Some(Key::Char('?' | 'h')) => {
                view.is_help = !view.is_help;
                true
            }
            Some(Key::Resized) => true,
            _ => false,
        };
        loop {
            match news.recv_timeout(Duration::ZERO) {
                Ok(_) if view.is_paused => {}
                Ok(heard) => {
                    watched.hear(heard);
                    is_new = true;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Command>, Stop> {
        Command::of(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn its_words_are_understood() {
        assert_eq!(of("top").expect("good"), Some(Command { count: None }));
        assert_eq!(of("top --count 3").expect("good"), Some(Command { count: Some(3) }));
        assert_eq!(of("get top").expect("good"), None);
        for line in ["top now", "top --count", "top --count 0", "top --count x"] {
            assert!(matches!(of(line), Err(Stop::Usage(m)) if m.contains("usage: ")), "{line}");
        }
    }
}
