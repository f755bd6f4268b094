package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// The limits of a body (security.md, limits).
const (
	maxBody  = 1 << 20
	maxDepth = 32
)

// readBody reads the body within its limits before anything interprets it, and leaves it
// to be read again. Uploads are left alone: they are streamed to whoever wants one.
func readBody(r *web.Request) error {
	if r.ContentLength == 0 || r.Method == http.MethodGet {
		return nil
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(strings.ToLower(kind))
	switch {
	case kind == "multipart/form-data":
		return nil
	case kind == "application/json", kind == "text/csv", kind == "" && r.ContentLength < 0:
	default:
		return &fault.Error{Kind: fault.Invalid, Code: "unsupported_media_type", Message: "Send JSON (Content-Type: application/json)."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(r.W, r.Body, maxBody))
	if err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return &fault.Error{Kind: fault.Invalid, Code: "too_large", Message: "The body is larger than 1 MiB; send less at once."}
		}
		return &fault.Error{Kind: fault.Invalid, Code: "malformed", Message: "The body could not be read.", Cause: err}
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if kind != "text/csv" && deep(body) {
		return fault.NewInvalid("too_deep", fmt.Sprintf("The body is nested more than %d levels deep.", maxDepth))
	}
	return nil
}

// deep reports whether JSON is nested deeper than allowed. What is no JSON is for the
// parser to refuse.
func deep(body []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
