//! Paths as clients write them, read into selectors.
//!
//! A path that begins with `$` finds any number of values. Another one is of the older kind, which means a single value: `a.b`
//! and `.a.b` are read as `$.a.b`, `.` is the root.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::Json;
use super::filter::{Comparison, Filter, Pattern, Term};
use crate::limits;

/// A path that was read.
#[derive(Debug)]
pub struct Path {
    pub selectors: Vec<Selector>,
    /// Whether it means a single value.
    pub is_legacy: bool,
    /// As RedisJSON's errors show it: with its `$`.
    pub shown: String,
}

/// A step of a path: which values of a container it finds.
#[derive(Debug)]
pub enum Selector {
    /// The members with these names, in this order.
    Names(Vec<Box<str>>),
    /// The elements with these places; a negative one counts from the end.
    Indexes(Vec<i64>),
    /// Each `step`th element from `start` on and before `end`.
    Slice { start: Option<i64>, end: Option<i64>, step: usize },
    /// Every value.
    All,
    /// The values for which it holds.
    Filter(Filter),
    /// What the rest of the path finds in the value itself and in all that it contains.
    Descend,
}

/// A text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("path error at position {0}")]
    Syntax(usize),
    #[error(
        "path error: it is too long, or has too many filters or parentheses in each other, or too many or too long regular expressions"
    )]
    TooLarge,
    #[error("path error: it is no UTF-8")]
    NotText,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// If it is none, or beyond what [`limits`] say.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        Self::parse_beside(text, &mut 0)
    }

    /// The same of a command with several paths, which counts the regular expressions of all of them.
    ///
    /// # Errors
    /// The same.
    pub fn parse_beside(text: &[u8], patterns: &mut usize) -> Result<Self, PathError> {
        if text.len() > limits::MAX_JSON_PATH {
            return Err(PathError::TooLarge);
        }
        let text = core::str::from_utf8(text).map_err(|_| PathError::NotText)?;
        let is_legacy = !(text.starts_with("$.") || text.starts_with("$[") || text == "$");
        let shown = match text {
            _ if !is_legacy => text.into(),
            "." => "$".into(),
            _ if text.starts_with('.') => alloc::format!("${text}"),
            _ => alloc::format!("$.{text}"),
        };
        let mut reader = Reader { text: &shown, at: 1, filters: 0, parentheses: 0, patterns };
        let selectors = reader.selectors()?;
        if reader.at < shown.len() {
            return Err(reader.error());
        }
        Ok(Self { selectors, is_legacy, shown })
    }

    pub fn is_root(&self) -> bool {
        self.selectors.is_empty()
    }

    /// Whether it can mean one place only.
    pub fn is_static(&self) -> bool {
        self.selectors.iter().all(|selector| match selector {
            Selector::Names(names) => names.len() == 1,
            Selector::Indexes(indexes) => indexes.len() == 1,
            _ => false,
        })
    }
}

/// Reads a path from its front.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Filters and parentheses around what is read.
    filters: usize,
    parentheses: usize,
    /// Regular expressions so far.
    patterns: &'a mut usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self) -> PathError {
        PathError::Syntax(self.at)
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(' ').len();
    }

    /// Takes this, if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        let comes = self.rest().starts_with(token);
        if comes {
            self.at += token.len();
        }
        comes
    }

    /// Spaces, then this.
    fn expect(&mut self, token: &str) -> Result<(), PathError> {
        self.skip_spaces();
        if self.eat(token) { Ok(()) } else { Err(self.error()) }
    }

    /// What stands behind a `$` or `@`, as far as it goes.
    fn selectors(&mut self) -> Result<Vec<Selector>, PathError> {
        let mut selectors = Vec::new();
        // The first name needs no point.
        if self.rest().starts_with(is_of_name) {
            selectors.push(self.name()?);
        }
        loop {
            if self.eat("..") {
                selectors.push(Selector::Descend);
                selectors.push(match self.eat("[") {
                    true => self.bracket()?,
                    false => self.name()?,
                });
            } else if self.eat(".[") || self.eat("[") {
                selectors.push(self.bracket()?);
            } else if self.eat(".") {
                selectors.push(self.name()?);
            } else {
                return Ok(selectors);
            }
        }
    }

    /// A name without quotes, or all.
    fn name(&mut self) -> Result<Selector, PathError> {
        if self.eat("*") {
            return Ok(Selector::All);
        }
        let rest = self.rest();
        let len = rest.find(|character| !is_of_name(character)).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error());
        }
        self.at += len;
        Ok(Selector::Names([rest[..len].into()].into()))
    }

    /// What stands in brackets, of which the first is taken already.
    fn bracket(&mut self) -> Result<Selector, PathError> {
        self.skip_spaces();
        let selector = if self.eat("*") {
            Selector::All
        } else if self.eat("?") {
            if self.filters == limits::MAX_JSON_FILTERS {
                return Err(PathError::TooLarge);
            }
            self.filters += 1;
            self.skip_spaces();
            let filter = self.filter()?;
            self.filters -= 1;
            Selector::Filter(filter)
        } else if self.rest().starts_with(['"', '\'']) {
            let mut names = Vec::new();
            loop {
                names.push(self.quoted()?);
                self.skip_spaces();
                if !self.eat(",") {
                    break Selector::Names(names);
                }
                self.skip_spaces();
            }
        } else {
            self.indexes()?
        };
        self.expect("]")?;
        Ok(selector)
    }

    fn indexes(&mut self) -> Result<Selector, PathError> {
        let start = self.optional_index()?;
        self.skip_spaces();
        if self.eat(":") {
            self.skip_spaces();
            let end = self.optional_index()?;
            self.skip_spaces();
            let mut step = 1;
            if self.eat(":") {
                self.skip_spaces();
                let given = self.optional_index()?.unwrap_or(1);
                step = usize::try_from(given).ok().filter(|step| *step > 0).ok_or(self.error())?;
            }
            return Ok(Selector::Slice { start, end, step });
        }
        let mut indexes = Vec::from([start.ok_or(self.error())?]);
        loop {
            self.skip_spaces();
            if !self.eat(",") {
                return Ok(Selector::Indexes(indexes));
            }
            self.skip_spaces();
            indexes.push(self.optional_index()?.ok_or(self.error())?);
        }
    }

    fn optional_index(&mut self) -> Result<Option<i64>, PathError> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Ok(None);
        }
        let number = rest[..sign + digits].parse().map_err(|_| self.error())?;
        self.at += sign + digits;
        Ok(Some(number))
    }

    /// A text in quotes of either kind, with JSON's escapes.
    fn quoted(&mut self) -> Result<Box<str>, PathError> {
        let mut characters = self.rest().char_indices();
        let Some((_, quote @ ('"' | '\''))) = characters.next() else { return Err(self.error()) };
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    let escaped = characters.next().map(|(_, escaped)| escaped);
                    text.push(match escaped {
                        Some(same @ ('"' | '\'' | '\\' | '/')) => same,
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        _ => return Err(PathError::Syntax(self.at + at)),
                    });
                }
                _ if character == quote => {
                    self.at += at + 1;
                    return Ok(text.into());
                }
                _ => text.push(character),
            }
        }
        Err(self.error())
    }

    /// Alternatives: AND binds tighter than OR.
    fn filter(&mut self) -> Result<Filter, PathError> {
        let mut either = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                all.push(self.condition()?);
                self.skip_spaces();
                if !self.eat("&&") {
                    break;
                }
                self.skip_spaces();
            }
            either.push(Filter::All(all));
            if !self.eat("||") {
                return Ok(Filter::Any(either));
            }
            self.skip_spaces();
        }
    }

    fn condition(&mut self) -> Result<Filter, PathError> {
        if self.eat("(") {
            if self.parentheses == limits::MAX_JSON_PARENTHESES {
                return Err(PathError::TooLarge);
            }
            self.parentheses += 1;
            self.skip_spaces();
            let filter = self.filter()?;
            self.expect(")")?;
            self.parentheses -= 1;
            return Ok(filter);
        }
        let left = self.term()?;
        self.skip_spaces();
        if self.eat("=~") {
            self.skip_spaces();
            return Ok(match self.term()? {
                Term::Value(Json::Text(pattern))
                    if *self.patterns == limits::MAX_JSON_PATTERNS || pattern.len() > limits::MAX_JSON_PATTERN_TEXT =>
                {
                    return Err(PathError::TooLarge);
                }
                Term::Value(Json::Text(pattern)) => {
                    *self.patterns += 1;
                    Filter::Matches(left, Pattern::new(&pattern))
                }
                Term::Value(_) => Filter::Matches(left, None),
                right => Filter::MatchesValue(left, right),
            });
        }
        let known = [
            (">=", Comparison::NotLess),
            (">", Comparison::More),
            ("<=", Comparison::NotMore),
            ("<", Comparison::Less),
            ("==", Comparison::Same),
            ("!=", Comparison::NotSame),
        ];
        let Some((_, comparison)) = known.into_iter().find(|(token, _)| self.eat(token)) else {
            return Ok(Filter::Exists(left));
        };
        self.skip_spaces();
        let right = self.term()?;
        Ok(Filter::Compares(left, comparison, right))
    }

    fn term(&mut self) -> Result<Term, PathError> {
        if self.eat("@") {
            return Ok(Term::FromCurrent(self.selectors()?));
        }
        if self.eat("$") {
            return Ok(Term::FromRoot(self.selectors()?));
        }
        if self.rest().starts_with(['"', '\'']) {
            return Ok(Term::Value(Json::Text(self.quoted()?)));
        }
        for (word, value) in [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)] {
            if self.eat(word) {
                return Ok(Term::Value(value));
            }
        }
        let rest = self.rest();
        let len = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let number = super::parse(&rest.as_bytes()[..len]).map_err(|_| self.error())?;
        self.at += len;
        Ok(Term::Value(number))
    }
}

/// Whether it may stand in a name without quotes.
fn is_of_name(character: char) -> bool {
    let separates = matches!(
        character,
        '.' | '['
            | ']'
            | '('
            | ')'
            | '{'
            | '}'
            | ','
            | '\''
            | '"'
            | '\\'
            | '='
            | '<'
            | '>'
            | '!'
            | '&'
            | '|'
            | '?'
            | '@'
            | '*'
    );
    !separates && !character.is_control() && character != ' '
}
