//! The line that is being typed: history, completion and hints.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use mneme_kernel::resp::Value;
use reedline::{
    ColumnarMenu, Completer, CompletionResult, DefaultHinter, Emacs, FileBackedHistory, Hinter, History, HistoryItem,
    HistoryItemId, HistorySessionId, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch,
    Reedline, ReedlineError, ReedlineErrorVariants, ReedlineEvent, ReedlineMenu, SearchQuery, Signal, Span, Suggestion,
    default_emacs_keybindings,
};

use crate::cli::connection::Connection;
use crate::cli::stop::Stop;
use crate::suggest::did_you_mean;

/// Lines that are remembered.
const REMEMBERED: usize = 1000;
const MENU: &str = "commands";

const HELP: &str = "\
Type a command of the server and its arguments, quoted as in redis-cli.
help COMMAND   what a command does
quit, exit     leave; Ctrl-D, too
TAB            complete a command, or list those that begin so
Up, Down       earlier lines; Ctrl-R searches them
Right          take the hint behind the line
Ctrl-C         give up the line, or end the messages of SUBSCRIBE and MONITOR
mneme-cli --help, outside of here, tells flags and what else this program does.
";

/// What the server's commands are called, and what each does.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<BTreeMap<String, String>>);

impl Known {
    /// Asks `COMMAND DOCS`; a server that does not answer is no reason not to type.
    pub fn ask(connection: &mut Connection) -> Known {
        let docs = connection.ask(&[b"COMMAND", b"DOCS"]).unwrap_or(Value::Null);
        let text = |value: &Value| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned();
        let summary = |doc: Value| {
            let fields = pairs(doc);
            fields.iter().find(|(name, _)| text(name) == "summary").map(|(_, value)| text(value)).unwrap_or_default()
        };
        Known(Arc::new(pairs(docs).into_iter().map(|(name, doc)| (text(&name), summary(doc))).collect()))
    }

    /// How to get on here; or, of a command, what it does.
    pub fn help(&self, command: Option<&[u8]>) -> String {
        let Some(command) = command else { return HELP.to_owned() };
        let name = String::from_utf8_lossy(command).to_lowercase();
        match self.0.get(&name) {
            // Only of these the server has more to say.
            Some(summary) if summary.starts_with("A container ") => {
                format!("{name}: {summary}\n\"{name} help\" lists its subcommands.\n")
            }
            Some(summary) => format!("{name}: {summary}\n"),
            None => {
                let near = did_you_mean(&name, self.0.keys().map(String::as_str), "");
                format!("no command \"{name}\" is known here{near}\n")
            }
        }
    }

    /// The commands that begin so.
    fn beginning(&self, typed: &str) -> impl Iterator<Item = (&String, &String)> {
        let typed = typed.to_lowercase();
        self.0.iter().filter(move |(name, _)| name.starts_with(&typed))
    }

    /// What the first word of a line does, if more follows on it.
    fn summary(&self, line: &str) -> Option<&str> {
        let (name, rest) = line.split_once(' ')?;
        rest.trim().is_empty().then(|| self.0.get(&name.to_lowercase()).map(String::as_str))?
    }
}

/// A map, whichever protocol it came by.
fn pairs(map: Value) -> Vec<(Value, Value)> {
    match map {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        _ => Vec::new(),
    }
}

/// Reads lines from a terminal.
pub struct Editor {
    reedline: Reedline,
}

impl std::fmt::Debug for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Editor")
    }
}

impl Editor {
    pub fn new(known: Known) -> Editor {
        let mut keys = default_emacs_keybindings();
        let complete = vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext];
        keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
        let menu = ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU)));
        let mut reedline = Reedline::create()
            .with_completer(Box::new(Commands(known.clone())))
            .with_hinter(Box::new(Hints { known, history: DefaultHinter::default() }))
            .with_menu(menu)
            // The only one is taken at once, and what all have in common.
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_edit_mode(Box::new(Emacs::new(keys)));
        if let Some(history) = Discreet::open() {
            reedline = reedline.with_history(Box::new(history));
        }
        Editor { reedline }
    }

    /// The next line, behind this prompt; `None` at the end of the input. A line that was given up is empty.
    ///
    /// # Errors
    /// If the terminal is of no use.
    pub fn line(&mut self, prompt: String) -> Result<Option<String>, Stop> {
        match self.reedline.read_line(&Before(prompt)) {
            Ok(Signal::Success(line)) => Ok(Some(line)),
            Ok(Signal::CtrlD) => Ok(None),
            Ok(_) => Ok(Some(String::new())),
            Err(error) => Err(Stop::Stream(io::Error::other(error.to_string()))),
        }
    }
}

/// What stands before the line.
struct Before(String);

impl Prompt for Before {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search {}) ", search.term))
    }
}

/// Completes the first word.
struct Commands(Known);

impl Completer for Commands {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let typed = line.get(..pos).unwrap_or_default();
        if typed.contains(' ') {
            return CompletionResult::fresh(Vec::new());
        }
        let suggestion = |(name, summary): (&String, &String)| Suggestion {
            value: name.clone(),
            description: Some(summary.clone()),
            span: Span::new(0, pos),
            append_whitespace: true,
            ..Suggestion::default()
        };
        CompletionResult::fresh(self.0.beginning(typed).map(suggestion).collect::<Vec<_>>())
    }
}

/// Behind the line: how it went on the last time, or else what its command does.
struct Hints {
    known: Known,
    history: DefaultHinter,
}

impl Hinter for Hints {
    fn handle(&mut self, line: &str, pos: usize, history: &dyn History, colours: bool, folder: &str) -> String {
        let hint = self.history.handle(line, pos, history, colours, folder);
        match self.known.summary(line) {
            Some(summary) if hint.is_empty() => format!("  {summary}"),
            _ => hint,
        }
    }

    fn complete_hint(&self) -> String {
        self.history.complete_hint()
    }

    fn next_hint_token(&self) -> String {
        self.history.next_hint_token()
    }
}

/// A history that does not keep passwords.
struct Discreet(FileBackedHistory);

impl Discreet {
    /// That of the file which `MNEME_HISTORY` names, else of `.mneme_history` in the home folder; nobody else can read it.
    fn open() -> Option<Discreet> {
        let named = std::env::var_os("MNEME_HISTORY").map(PathBuf::from);
        let path = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".mneme_history")))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).ok()?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).ok()?;
        FileBackedHistory::with_file(REMEMBERED, path).ok().map(Discreet)
    }
}

/// Whether a line may hold a password.
fn is_secret(line: &str) -> bool {
    let line = line.to_lowercase();
    let secret = ["auth", "password", "setuser"];
    line.split_whitespace().any(|word| secret.contains(&word.trim_matches(['"', '\''])))
}

impl History for Discreet {
    fn save(&mut self, item: HistoryItem) -> reedline::Result<HistoryItem> {
        if is_secret(&item.command_line) {
            return Err(ReedlineError(ReedlineErrorVariants::OtherHistoryError("it may hold a password")));
        }
        self.0.save(item)
    }

    fn load(&self, id: HistoryItemId) -> reedline::Result<HistoryItem> {
        self.0.load(id)
    }

    fn count(&self, query: SearchQuery) -> reedline::Result<i64> {
        self.0.count(query)
    }

    fn search(&self, query: SearchQuery) -> reedline::Result<Vec<HistoryItem>> {
        self.0.search(query)
    }

    fn update(&mut self, id: HistoryItemId, updater: &dyn Fn(HistoryItem) -> HistoryItem) -> reedline::Result<()> {
        self.0.update(id, updater)
    }

    fn clear(&mut self) -> reedline::Result<()> {
        self.0.clear()
    }

    fn delete(&mut self, id: HistoryItemId) -> reedline::Result<()> {
        self.0.delete(id)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let docs = [("get", "Returns a value."), ("getdel", "Returns and deletes."), ("set", "Sets a value.")];
        Known(Arc::new(docs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()))
    }

    #[test]
    fn the_first_word_is_completed() {
        let mut commands = Commands(known());
        let mut values = |line: &str| -> Vec<String> {
            let found = commands.complete(line, line.len());
            found.suggestions().iter().map(|suggestion| suggestion.value.clone()).collect()
        };
        assert_eq!(values("GE"), ["get", "getdel"]);
        assert_eq!(values("set g"), Vec::<String>::new());
        assert_eq!(values("x"), Vec::<String>::new());
    }

    #[test]
    fn a_command_is_explained_until_its_arguments_come() {
        assert_eq!(known().summary("Get "), Some("Returns a value."));
        for line in ["get", "get a", "nosuch ", ""] {
            assert_eq!(known().summary(line), None, "{line}");
        }
    }

    #[test]
    fn help_tells_of_itself_and_of_each_command() {
        assert!(known().help(None).contains("help COMMAND"));
        assert_eq!(known().help(Some(b"GET")), "get: Returns a value.\n");
        let near = known().help(Some(b"gett"));
        assert!(near.contains("no command \"gett\"") && near.contains("did you mean \"get\""), "{near}");
    }

    #[test]
    fn passwords_are_not_remembered() {
        for line in
            ["AUTH x", "hello 3 auth a b", "user create bob PASSWORD p role admin", "'auth' x", "acl setuser a >p"]
        {
            assert!(is_secret(line), "{line}");
        }
        for line in ["get a", "set author x"] {
            assert!(!is_secret(line), "{line}");
        }
        let mut history = Discreet(FileBackedHistory::new(10).expect("in memory"));
        assert!(history.save(HistoryItem::from_command_line("auth secret")).is_err());
        assert!(history.save(HistoryItem::from_command_line("get a")).is_ok());
        assert_eq!(history.count_all().expect("a number"), 1);
    }
}
