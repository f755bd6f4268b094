package members

type workspaceForm struct {
	Name     string `form:"name"`
	Slug     string `form:"slug"`
	TimeZone string `form:"time_zone"`
	Version  int64  `form:"version"`
}

type sessionForm struct {
	Idle     int   `form:"session_idle_minutes"`
	Absolute int   `form:"session_absolute_minutes"`
	Version  int64 `form:"version"`
}

type planForm struct {
	Plan string `form:"plan"`
}

type roleForm struct {
	Role    string `form:"role"`
	Version int64  `form:"version"`
}

type inviteForm struct {
	Email string `form:"email"`
	Role  string `form:"role"`
}

type importForm struct {
	Rows string `form:"rows,raw"`
}

type mappingForm struct {
	Claim string `form:"claim_value"`
	Role  string `form:"role"`
}

type groupForm struct {
	Name    string `form:"name"`
	Version int64  `form:"version"`
}

type groupPersonForm struct {
	Email  string `form:"email"`
	Member string `form:"member"`
}
