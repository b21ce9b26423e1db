//! The terminal, taken over as a whole: raw while something is shown, and as it was on every way out.

use std::io::{self, Write, stdin, stdout};
use std::panic;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// It is given back when this is dropped, and at a panic.
#[derive(Debug)]
pub struct Terminal(());

/// A line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub look: Look,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    /// The head of a table: dark on light.
    Head,
    Strong,
    Dim,
    Good,
    Odd,
    Bad,
}

/// What somebody has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Pressed this; Ctrl-C, Ctrl-D and Escape are `q`.
    Char(char),
    /// Given the terminal another size.
    Resized,
}

impl Terminal {
    /// # Errors
    /// If standard input and output are none.
    pub fn take() -> io::Result<Terminal> {
        // A release build ends at a panic without dropping anything.
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            tell(panic);
        }));
        let terminal = Terminal(());
        terminal::enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(terminal)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// If it does not tell.
    pub fn size(&self) -> io::Result<(usize, usize)> {
        terminal::size().map(|(columns, rows)| (columns.into(), rows.into()))
    }

    /// Shows these lines, from the top. They must fit.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&self, lines: &[Line]) -> io::Result<()> {
        // In one piece, so that nothing flickers.
        let mut out = Vec::new();
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in lines.iter().enumerate() {
            queue!(out, MoveTo(0, row as u16))?;
            match line.look {
                Look::Plain => {}
                Look::Head => queue!(out, SetAttribute(Attribute::Reverse))?,
                Look::Strong => queue!(out, SetAttribute(Attribute::Bold))?,
                Look::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
                Look::Good => queue!(out, SetForegroundColor(Color::Green))?,
                Look::Odd => queue!(out, SetForegroundColor(Color::Yellow))?,
                Look::Bad => queue!(out, SetForegroundColor(Color::Red), SetAttribute(Attribute::Bold))?,
            }
            queue!(out, Print(&line.text), ResetColor, SetAttribute(Attribute::Reset), Clear(ClearType::UntilNewLine))?;
        }
        // Behind a line that fills the last row there is nothing to clear.
        if lines.len() < self.size()?.1 {
            queue!(out, MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        let mut terminal = stdout().lock();
        terminal.write_all(&out)?;
        terminal.flush()
    }

    /// The next key, if one is pressed within the time.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn key(&self, within: Duration) -> io::Result<Option<Key>> {
        // Of several keys that came at once, crossterm may hold some.
        wait(Duration::ZERO)?;
        if !event::poll(Duration::ZERO)? {
            wait(within)?;
            if !event::poll(Duration::ZERO)? {
                return Ok(None);
            }
        }
        Ok(match event::read()? {
            Event::Resize(..) => Some(Key::Resized),
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('c' | 'd') if is_control => Some(Key::Char('q')),
                    KeyCode::Esc => Some(Key::Char('q')),
                    KeyCode::Char(key) => Some(Key::Char(key)),
                    _ => None,
                }
            }
            _ => None,
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it was taken. One that is gone needs nothing.
fn restore() {
    if terminal::is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Waits until there is something to read, at most so long. It is looked at here whether the terminal is gone: crossterm would
/// read from it for ever.
fn wait(at_most: Duration) -> io::Result<()> {
    let stdin = stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    let at_most = Timespec::try_from(at_most).map_err(io::Error::other)?;
    match poll(&mut watched, Some(&at_most)) {
        // A signal is for the caller.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    if watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the terminal is gone"));
    }
    Ok(())
}
