//! Which status versions 1.0 to 1.6 gave to which failure of which route.

use crate::base::Kind;

/// Routes whose failures have answers of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Start, stop, restart, kill: causes never change the status.
    Lifecycle,
    /// The removal of a container.
    Remove,
    /// Routes whose only wrong parameters are those of bodies and numbers.
    Body,
    /// All others.
    Other,
}

/// The table; the first row that fits counts. `None` is any route.
const TABLE: &[(Kind, Option<Route>, u16)] = &[
    // Asked for what is so already.
    (Kind::NotModified, None, 204),
    (Kind::NotFound, None, 404),
    (Kind::Conflict, Some(Route::Lifecycle), 500),
    (Kind::Conflict, Some(Route::Body), 500),
    // `Impossible to remove a running container`.
    (Kind::Conflict, Some(Route::Remove), 406),
    (Kind::Conflict, None, 409),
    (Kind::BadParameter, Some(Route::Body), 500),
    (Kind::BadParameter, Some(Route::Lifecycle), 500),
    // `Bad parameter`: a boolean that is none.
    (Kind::BadParameter, None, 400),
    (Kind::TooLong, Some(Route::Body), 500),
    (Kind::TooLong, Some(Route::Lifecycle), 500),
    (Kind::TooLong, None, 400),
    (Kind::Unauthorized, None, 401),
    (Kind::Forbidden, None, 403),
    (Kind::NotImplemented, None, 501),
    (Kind::Unavailable, None, 500),
    (Kind::ProgramNotFound, None, 500),
    (Kind::ProgramNotExecutable, None, 500),
    (Kind::TimedOut, None, 500),
    (Kind::ClientGone, None, 500),
    (Kind::NoSpace, None, 500),
    (Kind::Internal, None, 500),
];

/// The status for a failure of `kind` on `route`.
pub fn status(kind: Kind, route: Route) -> u16 {
    let fits = |(k, r, _): &&(Kind, Option<Route>, u16)| *k == kind && r.is_none_or(|r| r == route);
    TABLE.iter().find(fits).map_or(500, |(.., status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_reached() {
        for (at, (kind, route, expected)) in TABLE.iter().enumerate() {
            let route = route.unwrap_or(Route::Other);
            assert_eq!(status(*kind, route), *expected, "row {at}");
        }
        assert_eq!(status(Kind::NotFound, Route::Lifecycle), 404);
        assert_eq!(status(Kind::Conflict, Route::Remove), 406);
    }
}
