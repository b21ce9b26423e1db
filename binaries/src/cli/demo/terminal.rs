//! The terminal, taken over as a whole.

use std::io::{self, Write, stdout};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, SetAttribute, SetForegroundColor};
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue, terminal};

/// It is given back when this is dropped.
#[derive(Debug)]
pub struct Terminal(());

/// A line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Head,
    Good,
    Odd,
    Bad,
}

impl Terminal {
    /// # Errors
    /// If it is none.
    pub fn take() -> io::Result<Terminal> {
        terminal::enable_raw_mode()?;
        let terminal = Terminal(());
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
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
        for (row, line) in lines.iter().enumerate() {
            queue!(out, cursor::MoveTo(0, row as u16), SetAttribute(Attribute::Reset), Clear(ClearType::CurrentLine))?;
            match line.look {
                Look::Plain => {}
                Look::Head => queue!(out, SetAttribute(Attribute::Bold))?,
                Look::Good => queue!(out, SetForegroundColor(Color::Green))?,
                Look::Odd => queue!(out, SetForegroundColor(Color::Yellow))?,
                Look::Bad => queue!(out, SetForegroundColor(Color::Red))?,
            }
            queue!(out, Print(&line.text), SetAttribute(Attribute::Reset))?;
        }
        // Behind a line that fills the last row there is nothing to clear.
        if lines.len() < self.size()?.1 {
            queue!(out, cursor::MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown))?;
        }
        let mut terminal = stdout().lock();
        terminal.write_all(&out)?;
        terminal.flush()
    }

    /// The next key, if one is pressed within the time; Ctrl-C is `q`.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn key(&self, within: Duration) -> io::Result<Option<char>> {
        if !event::poll(within)? {
            return Ok(None);
        }
        Ok(match event::read()? {
            Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
                if modifiers.contains(KeyModifiers::CONTROL) =>
            {
                Some('q')
            }
            Event::Key(KeyEvent { code: KeyCode::Char(key), kind: KeyEventKind::Press, .. }) => Some(key),
            _ => None,
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it was taken.
pub fn restore() {
    if terminal::is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
