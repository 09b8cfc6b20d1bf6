//! Reads a package's files and what each imports from the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Punct, Spacing, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprLit, Item, ItemMod, ItemUse, Lit, Macro, Meta, UseTree,
    spanned::Spanned,
    visit::{self, Visit},
};

/// One path that a file names, from the root of its package or of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// `crate`, or the name of another package, and what follows.
    pub path: Vec<String>,
    pub line: usize,
    /// Only tests have it.
    pub test: bool,
}

/// One file and what it imports.
#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    /// Its module: `crate`, and what follows.
    pub module: Vec<String>,
    pub imports: Vec<Import>,
}

/// All files of a package or of another target, from its root file on.
pub fn read(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let directory = root.parent().unwrap().to_owned();
    let root = (root.to_owned(), directory, vec!["crate".to_owned()], false);
    let mut unread = vec![root];
    while let Some((path, children, module, test)) = unread.pop() {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let reader = Reader::of(&text, &module, test);
        for child in reader.children {
            let (path, grandchildren) = match &child.path {
                Some(given) => {
                    let path = path.parent().unwrap().join(given);
                    let folder = path.parent().unwrap().to_owned();
                    (path, folder)
                }
                None => {
                    let folder = children.join(&child.name);
                    let flat = children.join(format!("{}.rs", child.name));
                    let path = if flat.exists() {
                        flat
                    } else {
                        folder.join("mod.rs")
                    };
                    (path, folder)
                }
            };
            let module = [&module[..], &[child.name]].concat();
            unread.push((path, grandchildren, module, child.test));
        }
        files.push(File {
            path,
            module,
            imports: reader.imports,
        });
    }
    files
}

/// The files that import each other in a circle, each circle in order of their paths.
pub fn circles(files: &[File]) -> Vec<Vec<PathBuf>> {
    let by_module: BTreeMap<&[String], usize> = files
        .iter()
        .enumerate()
        .map(|(index, file)| (&file.module[..], index))
        .collect();
    let imports: Vec<BTreeSet<usize>> = files
        .iter()
        .map(|file| {
            let found = file.imports.iter().filter_map(|import| {
                // The longest beginning of a path that is a file; the rest is what it has.
                let beginnings = (1..=import.path.len()).rev();
                let mut files = beginnings.filter_map(|len| by_module.get(&import.path[..len]));
                files.next().copied()
            });
            found.collect()
        })
        .collect();
    let reach: Vec<BTreeSet<usize>> = (0..files.len()).map(|it| reachable(it, &imports)).collect();
    let mut circles = BTreeSet::new();
    for index in 0..files.len() {
        let with = (0..files.len()).filter(|&other| {
            other != index && reach[index].contains(&other) && reach[other].contains(&index)
        });
        let mut circle: Vec<_> = with.map(|other| files[other].path.clone()).collect();
        if !circle.is_empty() {
            circle.push(files[index].path.clone());
            circle.sort();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable(from: usize, imports: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut seen, mut unseen) = (BTreeSet::new(), vec![from]);
    while let Some(next) = unseen.pop() {
        for &file in &imports[next] {
            if seen.insert(file) {
                unseen.push(file);
            }
        }
    }
    seen
}

struct Child {
    name: String,
    /// Where its `path` attribute says that it is.
    path: Option<String>,
    test: bool,
}

/// What one file says.
struct Reader {
    /// The module that is being read: of the file, or one within it.
    module: Vec<String>,
    /// Whether it is for tests only.
    test: bool,
    children: Vec<Child>,
    imports: Vec<Import>,
}

impl Reader {
    fn of(text: &str, module: &[String], test: bool) -> Self {
        let mut reader = Self {
            module: module.to_vec(),
            test,
            children: Vec::new(),
            imports: Vec::new(),
        };
        reader.visit_file(&syn::parse_file(text).expect("Rust"));
        // A path may begin with a module that the file declares.
        let children: BTreeSet<_> = reader.children.iter().map(|child| &child.name).collect();
        for import in &mut reader.imports {
            if children.contains(&import.path[0]) {
                import.path.splice(..0, module.iter().cloned());
            }
        }
        reader
    }

    fn name(&mut self, path: &[String], span: Span) {
        self.imports.push(Import {
            path: absolute(path, &self.module),
            line: span.start().line,
            test: self.test,
        });
    }

    fn name_all(&mut self, before: &[String], tree: &UseTree, span: Span) {
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.name_all(&before, &path.tree, span);
            }
            UseTree::Name(name) => self.name(&[before, &[name.ident.to_string()]].concat(), span),
            UseTree::Rename(name) => self.name(&[before, &[name.ident.to_string()]].concat(), span),
            UseTree::Glob(_) => self.name(before, span),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.name_all(before, tree, span);
                }
            }
        }
    }

    /// Names the paths among the arguments of a macro, which are no Rust until it is expanded.
    fn name_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut span, mut colons) = (Span::call_site(), 0);
        // A mark at the end, so that a path before it ends as well.
        let end = TokenTree::Punct(Punct::new(';', Spacing::Alone));
        for token in tokens.into_iter().chain([end]) {
            match token {
                TokenTree::Ident(name) if colons == 2 => path.push(name.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                token => {
                    if path.len() > 1 {
                        self.name(&path, span);
                    }
                    path.clear();
                    if let TokenTree::Ident(name) = &token {
                        path.push(name.to_string());
                        span = name.span();
                    }
                    if let TokenTree::Group(group) = token {
                        self.name_tokens(group.stream());
                    }
                }
            }
            colons = 0;
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(it) => &it.attrs,
            Item::Fn(it) => &it.attrs,
            Item::Impl(it) => &it.attrs,
            Item::Use(it) => &it.attrs,
            _ => return visit::visit_item(self, item),
        };
        let around = self.test;
        self.test |= attributes.iter().any(is_for_tests);
        visit::visit_item(self, item);
        self.test = around;
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        match &module.content {
            Some((_, items)) => {
                self.module.push(name);
                for item in items {
                    self.visit_item(item);
                }
                self.module.pop();
            }
            None => self.children.push(Child {
                name,
                path: module.attrs.iter().find_map(path_of),
                test: self.test,
            }),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.name_all(&[], &item.tree, item.span());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A name alone is imported elsewhere, or is of this module.
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|it| it.ident.to_string());
            self.name(&segments.collect::<Vec<_>>(), path.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.name_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }
}

/// A path from the root of a package; as it is, if it begins with another package, or with something
/// that is imported elsewhere in the file, such as `Instant::now`.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    match path {
        [first, rest @ ..] if first == "self" => [module, rest].concat(),
        [first, rest @ ..] if first == "super" => within(rest, &module[..module.len() - 1]),
        _ => path.to_vec(),
    }
}

/// The same, of a path in this module that may go on with `super`.
fn within(path: &[String], module: &[String]) -> Vec<String> {
    match path {
        [first, rest @ ..] if first == "super" => within(rest, &module[..module.len() - 1]),
        _ => [module, path].concat(),
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("test")
        || attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
}

fn path_of(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file imports, but for its tests.
    fn imports(text: &str) -> Vec<String> {
        let module = ["crate", "flow", "reader"].map(str::to_owned);
        let reader = Reader::of(text, &module, false);
        let paths = reader.imports.iter().filter(|import| !import.test);
        paths.map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn every_way_to_write_an_import_is_read() {
        for (text, expected) in [
            ("use crate::state::State;", &["crate::state::State"][..]),
            (
                "use super::credit::Window;",
                &["crate::flow::credit::Window"],
            ),
            ("use super::super::state;", &["crate::state"]),
            (
                "pub use self::inner::Thing;",
                &["crate::flow::reader::inner::Thing"],
            ),
            (
                "use crate::{a::{b, c as d}, e::*};",
                &["crate::a::b", "crate::a::c", "crate::e"],
            ),
            (
                "fn f() -> crate::state::State { loop {} }",
                &["crate::state::State"],
            ),
            (
                "fn f() { relay_wire::text::escaped(); }",
                &["relay_wire::text::escaped"],
            ),
            (
                "impl crate::a::B for C<crate::d::E> {}",
                &["crate::a::B", "crate::d::E"],
            ),
            (
                "fn f(it: A) { let crate::b::C::D { .. } = it; }",
                &["crate::b::C::D"],
            ),
            (
                "fn f() { assert!(!{ crate::a::b(super::C::D) }, \"crate::e::f\"); }",
                &["crate::a::b", "crate::flow::C::D"],
            ),
            (
                "fn f() { debug!(\"{}\", relay_wire::a) }",
                &["relay_wire::a"],
            ),
            ("// crate::a::b\n/* crate::c::d */", &[]),
            ("fn f() { Vec::<u8>::new(); local(); }", &["Vec::new"]),
            (
                "mod child; use child::Thing;",
                &["crate::flow::reader::child::Thing"],
            ),
            (
                "mod inner { use super::Outer; }",
                &["crate::flow::reader::Outer"],
            ),
            ("#[cfg(test)] mod tests { use crate::state::State; }", &[]),
            ("#[cfg(test)] use crate::state::State;", &[]),
            (
                "#[cfg(test)] fn f() { crate::a::b() } fn g() { crate::c::d() }",
                &["crate::c::d"],
            ),
        ] {
            assert_eq!(imports(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_is_that_of_the_import() {
        let reader = Reader::of(
            "\n\nuse crate::{\n    a,\n};\n",
            &["crate".to_owned()],
            false,
        );
        assert_eq!(reader.imports[0].line, 3);
    }

    #[test]
    fn a_circle_is_found_and_a_chain_is_none() {
        let file = |name: &str, imports: &[&str]| File {
            path: name.into(),
            module: vec!["crate".to_owned(), name.to_owned()],
            imports: imports
                .iter()
                .map(|import| Import {
                    path: vec!["crate".to_owned(), (*import).to_owned(), "Thing".to_owned()],
                    line: 1,
                    test: false,
                })
                .collect(),
        };
        let chain = [file("a", &["b"]), file("b", &["c"]), file("c", &[])];
        assert!(circles(&chain).is_empty());
        let circle = [
            file("a", &["b"]),
            file("b", &["c"]),
            file("c", &["b", "a"]),
            file("d", &["a"]),
        ];
        let paths = ["a", "b", "c"].map(PathBuf::from).to_vec();
        assert_eq!(circles(&circle), [paths]);
    }
}
