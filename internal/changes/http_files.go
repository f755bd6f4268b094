package changes

import (
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

// fileType says what a file is by its first bytes, and whether files of the kind are kept.
// What browsers could run is plain text or a download to us.
func fileType(head []byte, name string) (string, bool) {
	kind, _, err := mime.ParseMediaType(http.DetectContentType(head))
	if err != nil {
		return "", false
	}
	ext := strings.ToLower(path.Ext(name))
	switch {
	case slices.Contains([]string{"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "application/x-gzip"}, kind):
		return kind, true
	case kind == "application/zip":
		return officeType(ext), true
	case ext == ".svg" && (kind == "text/xml" || kind == "text/plain" || kind == "image/svg+xml"):
		return "image/svg+xml", true
	case kind == "text/plain":
		return textType(ext), true
	case kind == "text/xml":
		return "text/plain", true
	}
	// An executable, a page of HTML, a script, or something that nobody can tell.
	return kind, false
}

func officeType(ext string) string {
	switch ext {
	case ".docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case ".xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case ".pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	case ".odt":
		return "application/vnd.oasis.opendocument.text"
	case ".ods":
		return "application/vnd.oasis.opendocument.spreadsheet"
	}
	return "application/zip"
}

func textType(ext string) string {
	switch ext {
	case ".csv":
		return "text/csv"
	case ".json":
		return "application/json"
	case ".md":
		return "text/markdown"
	}
	return "text/plain"
}

// disposition says whether a browser may show a file.
func disposition(f Attachment, show bool) string {
	kind := "attachment"
	if show && f.Inline() {
		kind = "inline"
	}
	return mime.FormatMediaType(kind, map[string]string{"filename": f.Name})
}
