// Package docs embeds the documentation that the program itself shows.
package docs

import (
	"embed"
	"io/fs"
)

//go:embed help
var files embed.FS

// Help returns the articles of the help centre, rooted at the folder help.
func Help() fs.FS {
	sub, err := fs.Sub(files, "help")
	if err != nil {
		panic("docs: " + err.Error()) // the folder is named in the directive above
	}
	return sub
}
