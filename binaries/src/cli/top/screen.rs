//! The terminal: raw while it shows, and as it was on every way out.

use std::io::{self, Write, stdout};
use std::panic;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::page::{Line, Style};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Quit,
    Pause,
    Sort,
    Help,
    /// The terminal has another size.
    Resized,
}

/// The terminal, as long as this is.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// # Errors
    /// If it is of no use.
    pub fn open() -> io::Result<Screen> {
        // A release build ends at a panic without dropping anything.
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            tell(panic);
        }));
        let screen = Screen(());
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// If the terminal does not say.
    pub fn size(&self) -> io::Result<(usize, usize)> {
        let (width, height) = size()?;
        Ok((width.into(), height.into()))
    }

    /// # Errors
    /// If the terminal is gone.
    pub fn paint(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut out = stdout().lock();
        queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        for (row, line) in lines.iter().enumerate() {
            queue!(out, MoveTo(0, row as u16))?;
            match line.style {
                Style::Plain => {}
                Style::Head => queue!(out, SetAttribute(Attribute::Reverse))?,
                Style::Good => queue!(out, SetForegroundColor(Color::Green))?,
                Style::Bad => queue!(out, SetForegroundColor(Color::Red), SetAttribute(Attribute::Bold))?,
                Style::Dim => queue!(out, SetAttribute(Attribute::Dim))?,
            }
            queue!(out, Print(&line.text), ResetColor, SetAttribute(Attribute::Reset), Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        out.flush()
    }

    /// The next key that means something, if one is pressed within this time.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn key(&mut self, within: Duration) -> io::Result<Option<Key>> {
        if !event::poll(within)? {
            return Ok(None);
        }
        Ok(match event::read()? {
            Event::Resize(..) => Some(Key::Resized),
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('c' | 'd') if is_control => Some(Key::Quit),
                    KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
                    KeyCode::Char('p' | ' ') => Some(Key::Pause),
                    KeyCode::Char('s') => Some(Key::Sort),
                    KeyCode::Char('?' | 'h') => Some(Key::Help),
                    _ => None,
                }
            }
            _ => None,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// As it was before. A terminal that is gone needs nothing.
fn restore() {
    let _ = execute!(stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}
