package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func stack() []byte { return debug.Stack() }

// status returns the HTTP status of an error.
func status(err error) int {
	if _, ok := errors.AsType[*limited](err); ok {
		return http.StatusTooManyRequests
	}
	e := fault.Find(err)
	if e == nil {
		return http.StatusInternalServerError
	}
	switch e.Code {
	case "unauthenticated", codeSignInAgain:
		return http.StatusUnauthorized
	case "malformed":
		return http.StatusBadRequest
	case "too_large":
		return http.StatusRequestEntityTooLarge
	case "unsupported_media_type":
		return http.StatusUnsupportedMediaType
	case "method_not_allowed":
		return http.StatusMethodNotAllowed
	}
	switch e.Kind {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// ErrorBody is the body of every answer of the API that is an error (api.md, Errors).
type ErrorBody struct {
	Error ErrorInfo `json:"error"`
}

// ErrorInfo describes an error to a program and to a person.
type ErrorInfo struct {
	Code      string        `json:"code"`
	Message   string        `json:"message"`
	Details   []ErrorDetail `json:"details"`
	RequestID string        `json:"request_id"`
}

// ErrorDetail is one problem of several.
type ErrorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
	Ref     string `json:"ref,omitempty"`
}

// DescribeError returns the status and the body that an error has in the API.
func DescribeError(err error, requestID uuid.UUID) (int, ErrorBody) {
	code := status(err)
	info := ErrorInfo{Code: "internal", Message: "Something failed on our side. Quote the request id to the people who look after Vigilo.", Details: []ErrorDetail{}, RequestID: requestID.String()}
	if l, ok := errors.AsType[*limited](err); ok {
		info.Code, info.Message = "rate_limited", l.Error()
	} else if e := fault.Find(err); e != nil && e.Kind != fault.Internal {
		info.Code, info.Message = e.Code, e.Message
		for _, d := range e.Details {
			info.Details = append(info.Details, ErrorDetail{Code: d.Code, Message: d.Message, Field: d.Field, Ref: d.Ref})
		}
	}
	return code, ErrorBody{Error: info}
}

// fail answers with the error and logs it once, with its cause.
func (s *Server) fail(r *Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the reader went away
	}
	r.LogFailure(err)
	code := status(err)
	if r.wrote {
		return
	}
	if l, ok := errors.AsType[*limited](err); ok {
		r.W.Header().Set("Retry-After", seconds(l.retry))
	}
	if code == http.StatusServiceUnavailable {
		r.W.Header().Set("Retry-After", "5")
	}
	if r.Route.API {
		s.failJSON(r, err)
		return
	}
	if code == http.StatusUnauthorized {
		s.askToSignIn(r, signInPath(err))
		return
	}
	if renderErr := s.errorPage(r, code, err); renderErr != nil {
		s.o.Log.ErrorContext(r.Context(), "error page failed", slog.String("request_id", r.ID.String()), slog.String("error", renderErr.Error()))
		http.Error(r.W, fmt.Sprintf("Something failed. Reference: %s", r.ID), code)
	}
}

// LogFailure logs an error of the request with its cause; ids only besides.
func (r *Request) LogFailure(err error) {
	code := status(err)
	level := slog.LevelInfo
	if code >= 500 {
		level = slog.LevelError
	}
	reason := ""
	if e := fault.Find(err); e != nil {
		reason = e.Code
	}
	r.s.o.Log.LogAttrs(r.Context(), level, "request refused", slog.Int("status", code), slog.String("code", reason), slog.String("method", r.Method),
		slog.String("route", r.Route.Pattern), slog.String("request_id", r.ID.String()),
		slog.String("workspace_id", r.Actor.WorkspaceID.String()), slog.String("actor_id", r.Actor.ID.String()),
		slog.String("error", err.Error()))
}

func (s *Server) failJSON(r *Request, err error) {
	code, body := DescribeError(err, r.ID)
	if code == http.StatusUnauthorized {
		r.W.Header().Set("WWW-Authenticate", `Bearer realm="vigilo"`)
	}
	if err := r.JSON(code, body); err != nil {
		s.o.Log.ErrorContext(r.Context(), "error body failed", slog.String("request_id", r.ID.String()), slog.String("error", err.Error()))
	}
}

// JSON answers with a JSON value.
func (r *Request) JSON(status int, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer of %s: %w", r.Route.Pattern, err)
	}
	h := r.W.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	r.W.WriteHeader(status)
	r.wrote = true
	if _, err := r.W.Write(append(raw, '\n')); err != nil {
		s := r.s
		s.o.Log.DebugContext(r.Context(), "answer not read", slog.String("error", err.Error()))
	}
	return nil
}

// signInPath is the sign-in page, up to where it leads back to. Somebody who is signed in
// but not for this goes to the form of it all the same.
func signInPath(err error) string {
	if e := fault.Find(err); e != nil && e.Code == codeSignInAgain {
		return "/login?again=1&return_to="
	}
	return "/login?return_to="
}

// askToSignIn sends a reader to the sign-in page and back, and keeps what a form held: the
// page shows it again, to be sent once the person has signed in.
func (s *Server) askToSignIn(r *Request, path string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		back := r.URL.RequestURI()
		if r.HTMX() {
			back = "/"
			if u, err := url.Parse(r.Header.Get("HX-Current-URL")); err == nil && Local(u.RequestURI()) {
				back = u.RequestURI()
			}
			r.W.Header().Set("HX-Redirect", path+url.QueryEscape(back))
			r.W.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(r.W, r.Request, path+url.QueryEscape(back), http.StatusSeeOther)
	default:
		if err := s.sessionEndedPage(r, path); err != nil {
			s.o.Log.ErrorContext(r.Context(), "session page failed", slog.String("request_id", r.ID.String()), slog.String("error", err.Error()))
			http.Error(r.W, "Your session has ended. Sign in again.", http.StatusUnauthorized)
		}
	}
}

// fallback answers for addresses that no route serves.
func (s *Server) fallback(w http.ResponseWriter, req *http.Request, code int) {
	r := s.request(w, req, Route{Method: req.Method, Pattern: req.URL.Path, Scope: Public, API: isAPI(req.URL.Path)})
	err := fault.NewNotFound("page")
	if code == http.StatusMethodNotAllowed {
		err = &fault.Error{Kind: fault.Invalid, Code: "method_not_allowed", Message: "This address does not take " + req.Method + " requests."}
	}
	if !r.Route.API {
		if idErr := s.identifyForError(r); idErr != nil {
			err = idErr
		}
	}
	s.fail(r, err)
}

// identifyForError finds the person behind a request to nowhere, so that the error page
// keeps the shell around them when they are in a workspace.
func (s *Server) identifyForError(r *Request) error {
	r.Route.Scope = InWorkspace
	defer func() { r.Route.Scope = Public }()
	return s.identify(r)
}

func asLimited(err error) (*limited, bool) { return errors.AsType[*limited](err) }
