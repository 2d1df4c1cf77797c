//! Access: what a user of this machine may read and write, by owner, group and mode of files and of the directories above
//! them. Users and groups are those of `/etc/passwd` and `/etc/group`; access control lists and mount options are ignored.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::{ConfigError, ConfigProblem};

/// Reading a file, or listing a directory.
const READ: u32 = 0o4;
/// Creating and removing files of a directory.
const WRITE: u32 = 0o2;
/// Entering a directory.
const PASS: u32 = 0o1;

//----------- User -----------------------------------------------------------

/// A user of this machine, with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: String,
    id: u32,
    groups: Vec<u32>,
}

impl User {
    /// The user of this name; the reason when there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let found = Self::parse(name, &read("/etc/passwd")?, &read("/etc/group")?);
        found.ok_or_else(|| format!("/etc/passwd has no user {name}"))
    }

    /// The user in the text of both files (passwd(5), group(5)).
    fn parse(name: &str, users: &str, groups: &str) -> Option<Self> {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let id = fields.nth(1)?.parse().ok()?;
        let own_group = fields.next()?.parse().ok()?;
        let group = |line: &str| {
            let mut fields = line.split(':').skip(2);
            let id: u32 = fields.next()?.parse().ok()?;
            fields.next()?.split(',').any(|member| member == name).then_some(id)
        };
        let groups = core::iter::once(own_group).chain(groups.lines().filter_map(group)).collect();
        Some(Self { name: name.to_owned(), id, groups })
    }

    /// Checks that the user can read the configuration file itself.
    pub fn check_file(&self, file: &Path) -> Result<(), ConfigError> {
        let unreadable = |reason| ConfigProblem::Unreadable { file: file.to_owned(), reason };
        self.check_read(file).map_err(|reason| ConfigError { problems: vec![unreadable(reason)] })
    }

    /// Why the user cannot read a file; nothing if it can.
    pub(super) fn check_read(&self, file: &Path) -> Result<(), String> {
        self.check(file, READ, "read")
    }

    /// Why the user cannot use a directory for files of its own; nothing if it can. Of one that is missing, the nearest
    /// directory above counts, in which it would be made.
    pub(super) fn check_directory(&self, directory: &Path) -> Result<(), String> {
        let above = directory.ancestors().find(|path| !path.as_os_str().is_empty() && path.exists());
        match above {
            Some(found) if !found.is_dir() => Err(format!("{} is not a directory", found.display())),
            Some(found) if found == directory => self.check(found, READ | WRITE | PASS, "use"),
            Some(found) => self
                .check(found, WRITE | PASS, "create files in")
                .map_err(|reason| format!("{} does not exist, and {reason}", directory.display())),
            None => self.check(Path::new("."), WRITE | PASS, "create files in"),
        }
    }

    fn check(&self, path: &Path, needed: u32, action: &str) -> Result<(), String> {
        let unknown = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                format!("this user cannot examine {}; run `idnode config check` as root", path.display())
            }
            _ => format!("{}: {error}", path.display()),
        };
        let real = fs::canonicalize(path).map_err(unknown)?;
        for above in real.ancestors().skip(1) {
            let facts = fs::metadata(above).map_err(unknown)?;
            if !self.may(Owned::of(&facts), PASS) {
                return Err(self.refused("enter", PASS, above, &facts));
            }
        }
        let facts = fs::metadata(&real).map_err(unknown)?;
        if self.may(Owned::of(&facts), needed) {
            Ok(())
        } else {
            Err(self.refused(action, needed, &real, &facts))
        }
    }

    /// Whether all of the bits are allowed: the owner's bits decide for the owner, whatever those of its group say.
    fn may(&self, owned: Owned, needed: u32) -> bool {
        let bits = if owned.user == self.id {
            owned.mode >> 6
        } else if self.groups.contains(&owned.group) {
            owned.mode >> 3
        } else {
            owned.mode
        };
        self.id == 0 || bits & needed == needed
    }

    fn refused(&self, action: &str, needed: u32, path: &Path, facts: &fs::Metadata) -> String {
        let letters = [(READ, 'r'), (WRITE, 'w'), (PASS, 'x')];
        let letters = letters.into_iter().filter(|(bit, _)| needed & bit != 0);
        let letters: String = letters.map(|(_, letter)| letter).collect();
        format!(
            "user {} cannot {action} {} (owner {}, group {}, mode {:04o}); change its group with `chgrp` and its mode with \
             `chmod g+{letters}`, or change its owner",
            self.name,
            path.display(),
            facts.uid(),
            facts.gid(),
            facts.mode() & 0o7777
        )
    }
}

/// Owner, group and mode of a file.
#[derive(Clone, Copy, Debug)]
struct Owned {
    user: u32,
    group: u32,
    mode: u32,
}

impl Owned {
    fn of(facts: &fs::Metadata) -> Self {
        Self { user: facts.uid(), group: facts.gid(), mode: facts.mode() }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::{Owned, User};

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\nidnode:x:990:991::/var/lib/idnode:/usr/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nidnode:x:991:\nssl-cert:x:115:postgres,idnode\nadm:x:4:idnodes\n";

    fn idnode() -> User {
        User::parse("idnode", USERS, GROUPS).expect("a user")
    }

    #[test]
    fn a_user_has_its_own_group_and_those_that_name_it() {
        assert_eq!(idnode(), User { name: "idnode".into(), id: 990, groups: vec![991, 115] });
        assert_eq!(User::parse("nobody", USERS, GROUPS), None);
    }

    #[test]
    fn owner_group_and_others_are_distinguished() {
        let may = |user, group, mode, needed| idnode().may(Owned { user, group, mode }, needed);
        for (user, group, mode, expected) in [
            (990, 0, 0o400, true),
            (990, 991, 0o070, false),
            (0, 991, 0o640, true),
            (0, 115, 0o640, true),
            (0, 991, 0o604, false),
            (0, 0, 0o604, true),
            (0, 0, 0o600, false),
        ] {
            assert_eq!(may(user, group, mode, 0o4), expected, "{user} {group} {mode:o}");
        }
        let root = User::parse("root", USERS, GROUPS).expect("a user");
        assert!(root.may(Owned { user: 990, group: 991, mode: 0 }, 0o7));
    }

    #[test]
    fn every_directory_above_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let (closed, file) = (directory.path().join("closed"), directory.path().join("closed/file"));
        fs::create_dir(&closed).expect("made");
        fs::write(&file, "x").expect("written");
        let set = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
        };
        let ours = fs::metadata(&file).expect("facts");
        // Neither the owner of the file nor of its group.
        let user = User { name: "idnode".into(), id: ours.uid() + 1, groups: vec![ours.gid() + 1] };
        set(directory.path(), 0o755);
        set(&closed, 0o700);
        set(&file, 0o644);
        let refused = user.check_read(&file).expect_err("closed");
        let directory_name = fs::canonicalize(&closed).expect("a path");
        let expected = format!("user idnode cannot enter {} (owner ", directory_name.display());
        assert!(refused.starts_with(&expected) && refused.contains("`chmod g+x`"), "{refused}");
        set(&closed, 0o755);
        assert_eq!(user.check_read(&file), Ok(()));
        set(&file, 0o640);
        assert!(user.check_read(&file).expect_err("not readable").contains("`chmod g+r`"));
        let missing = closed.join("backups");
        let refused = user.check_directory(&missing).expect_err("not writable");
        assert!(refused.contains("does not exist, and user idnode cannot create files in"), "{refused}");
        assert!(refused.contains("`chmod g+wx`"), "{refused}");
        assert!(user.check_directory(&closed).expect_err("not writable").contains("`chmod g+rwx`"));
        set(&closed, 0o777);
        assert_eq!(user.check_directory(&missing), Ok(()));
        assert!(user.check_directory(&file).is_err(), "a file");
        assert!(user.check_read(&missing).expect_err("missing").contains("No such file"));
    }
}
