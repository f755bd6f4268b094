package gallery

import (
	"context"
	"io"

	"github.com/a-h/templ"
)

// wrap renders frame with body as its children.
func wrap(frame, body templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return frame.Render(templ.WithChildren(ctx, body), w)
	})
}
