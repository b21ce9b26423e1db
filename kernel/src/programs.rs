//! Scripts and libraries of functions that every node knows: part of the replicated state. So what `SCRIPT LOAD` and
//! `FUNCTION LOAD` brought is there whichever node is asked, and after a failover or a restart.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use bincode::{Decode, Encode};

use crate::effect::Effect;
use crate::limits;
use crate::script::{Function, Sha};

/// What can be called by name or by SHA-1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    scripts: BTreeMap<Sha, Vec<u8>>,
    /// In the order in which they were loaded: the oldest ones make room.
    order: VecDeque<Sha>,
    /// Bytes of all scripts.
    bytes: usize,
    libraries: BTreeMap<String, Library>,
    /// Bytes of the code of all libraries.
    library_bytes: usize,
}

/// Functions that were loaded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// As it was loaded, with its first line.
    pub code: Vec<u8>,
    pub sha: Sha,
    pub functions: Vec<Function>,
}

/// As snapshots hold it: scripts in the order in which they were loaded, libraries by name.
#[derive(Debug, Encode, Decode)]
struct Kept {
    scripts: Vec<Vec<u8>>,
    libraries: Vec<(String, Vec<u8>, Vec<Function>)>,
}

impl Programs {
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty() && self.libraries.is_empty()
    }

    pub fn script(&self, sha: Sha) -> Option<&[u8]> {
        self.scripts.get(&sha).map(Vec::as_slice)
    }

    pub fn scripts(&self) -> impl Iterator<Item = (Sha, &[u8])> {
        self.order.iter().map(|sha| (*sha, self.scripts[sha].as_slice()))
    }

    pub fn library(&self, name: &str) -> Option<&Library> {
        self.libraries.get(name)
    }

    /// All libraries, by name.
    pub fn libraries(&self) -> impl Iterator<Item = (&str, &Library)> {
        self.libraries.iter().map(|(name, library)| (name.as_str(), library))
    }

    /// The function of this name in any case, as in Redis, and its library.
    pub fn function(&self, name: &[u8]) -> Option<(&str, &Library, &Function)> {
        self.libraries.iter().find_map(|(library, all)| {
            let is_named = |function: &&Function| function.name.as_bytes().eq_ignore_ascii_case(name);
            all.functions.iter().find(is_named).map(|function| (library.as_str(), all, function))
        })
    }

    /// Bytes of the code of all libraries.
    pub fn library_bytes(&self) -> usize {
        self.library_bytes
    }

    /// Applies an effect; most do not concern it.
    pub fn apply(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::LoadScript { body } => self.load(body),
            Effect::FlushScripts => {
                self.scripts.clear();
                self.order.clear();
                self.bytes = 0;
            }
            Effect::LoadLibrary { name, code, functions } => {
                // What registered them was this program or one that writes the same.
                let functions = crate::codec::decode_owned(functions).unwrap_or_default();
                self.put(name.into(), code.into(), functions);
            }
            Effect::DropLibrary { name } => {
                let gone = self.libraries.remove(name);
                self.library_bytes -= gone.map_or(0, |gone| gone.code.len());
            }
            _ => {}
        }
    }

    fn load(&mut self, body: &[u8]) {
        let sha = Sha::of(body);
        if self.scripts.contains_key(&sha) {
            return;
        }
        self.bytes += body.len();
        self.scripts.insert(sha, body.into());
        self.order.push_back(sha);
        while self.scripts.len() > limits::SCRIPTS || self.bytes > limits::SCRIPT_BYTES && self.scripts.len() > 1 {
            let oldest = self.order.pop_front().and_then(|sha| self.scripts.remove(&sha));
            self.bytes -= oldest.map_or(0, |body| body.len());
        }
    }

    fn put(&mut self, name: String, code: Vec<u8>, functions: Vec<Function>) {
        self.library_bytes += code.len();
        let library = Library { sha: Sha::of(&code), code, functions };
        let before = self.libraries.insert(name, library);
        self.library_bytes -= before.map_or(0, |before| before.code.len());
    }
}

impl Encode for Programs {
    fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
        let scripts = self.scripts().map(|(_, body)| body.to_vec()).collect();
        let library =
            |(name, library): (&String, &Library)| (name.clone(), library.code.clone(), library.functions.clone());
        Kept { scripts, libraries: self.libraries.iter().map(library).collect() }.encode(encoder)
    }
}

impl<C> Decode<C> for Programs {
    fn decode<D: bincode::de::Decoder<Context = C>>(decoder: &mut D) -> Result<Self, bincode::error::DecodeError> {
        let Kept { scripts, libraries } = Decode::decode(decoder)?;
        let mut programs = Self::default();
        scripts.iter().for_each(|body| programs.load(body));
        libraries.into_iter().for_each(|(name, code, functions)| programs.put(name, code, functions));
        Ok(programs)
    }
}
bincode::impl_borrow_decode!(Programs);
