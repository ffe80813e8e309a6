//! What can go wrong in the store, told apart by what the caller can do about it.

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique value is taken; which one, in the words of the outside.
    #[error("{0} is already taken")]
    Conflict(&'static str),
    /// No such record in this workspace, or none of those that the record belongs to.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The mass-change guard holds the change until an admin approves it; nothing of it was written.
    #[error("the change is part of a mass removal and is held")]
    Held(crate::model::guard::Excess),
    /// The person was invited and is not the provider's to change; nothing was written.
    #[error(transparent)]
    NotAdopted(#[from] super::NotAdopted),
    /// The database cannot be used now, or the outcome of a commit is unknown. Nothing may be taken for granted.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// A row does not read back as what was written.
    #[error("the database holds a {what} that cannot be read")]
    Corrupt {
        /// Which record.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system's randomness or the master key failed.
    #[error(transparent)]
    Secret(#[from] crate::secret::SecretError),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

/// An edit of a record that failed, either in the store or by the caller's own rule.
#[derive(Debug, thiserror::Error)]
pub enum EditError<E> {
    /// In the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// By the caller's rule; nothing was changed.
    #[error("the edit was refused")]
    Refused(E),
}

impl EditError<std::convert::Infallible> {
    /// The store's error, where the caller has no rule that could refuse.
    #[must_use]
    pub fn unrefused(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Refused(never) => match never {},
        }
    }
}

impl<E> From<sqlx::Error> for EditError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(what) = conflict(&error) {
            return Self::Conflict(what);
        }
        // Which key it was, SQLite does not say.
        if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
            return Self::NotFound("workspace or user");
        }
        Self::Unavailable(error)
    }
}

impl StoreError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The unique values, by the PostgreSQL index that guards them and by the column that SQLite names.
const UNIQUE: &[(&str, &str, &str)] = &[
    ("users_user_name", "users.user_name_key", "userName"),
    ("groups_display_name", "groups.display_name_key", "displayName"),
    ("groups_external_id", "groups.external_id", "externalId"),
    ("connections_by_id", "connections.id", "the connection id"),
    ("connections_pkey", "connections.id", "the connection id"),
    ("workspaces_pkey", "workspaces.id", "the workspace id"),
    ("links_by_user", "links.user_id", "the link"),
    ("links_pkey", "links.connection_id", "the link"),
    ("domains_pkey", "domains.domain", "the domain"),
];

fn conflict(error: &sqlx::Error) -> Option<&'static str> {
    let database = error.as_database_error()?;
    if !database.is_unique_violation() {
        return None;
    }
    let message = database.message();
    let named = database.constraint();
    let known = UNIQUE.iter().find(|(index, column, _)| named == Some(index) || message.contains(column));
    Some(known.map_or("a unique value", |(_, _, what)| what))
}
